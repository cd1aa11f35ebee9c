"""A GenICam camera, by harvesters and the vendor's GenTL producer."""
