// Ten seconds of a running rtface: rtface demo --bridges
import { RtfaceClient } from "./rtface.mjs";

const client = await RtfaceClient.open();
const nose = client.names.indexOf("nose(tip)");
const until = performance.now() + 10_000;
for await (const points of client) {
  if (performance.now() > until) break;
  const [x, y] = points.xy[nose];
  console.log(`frame ${points.frame_id}: nose(tip) at (${x}, ${y}), ${points.age_ms.toFixed(1)} ms old, ${points.missing} missing`);
}
client.close();
