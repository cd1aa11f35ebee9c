"""Any camera in a process of its own, which fills slots in shared memory: what its driver does there holds nobody up here."""
