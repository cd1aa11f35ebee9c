"""Arms the loop, follows what it decides for half a minute, and disarms: a client as rig software would be.

python client.py [seconds]
"""

import sys
import time

import rtface


def main(seconds: float) -> None:
    """Arm, listen, disarm; the light is off again however this ends."""
    with rtface.Client(timeout_s=15) as client:
        client.hello()
        client.arm("client.py")
        try:
            client.mark("client.py", "baseline")
            end = time.monotonic() + seconds
            while (left := end - time.monotonic()) > 0:
                event = client.next_event(left)
                if event is None:
                    break
                if event.kind == "decision" and event.details["action"] in ("fire", "sham"):
                    name, value, _, age_ns = event.details["inputs"][0]
                    print(f"{event.details['action']:5} {name} = {value:.1f}, {age_ns / 1e6:.1f} ms old")
                elif event.kind == "light":
                    print(f"      {event.details['event']}")
                elif event.kind in ("arming", "fault"):
                    print(event.details)
        finally:
            client.disarm("client.py", "done")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
