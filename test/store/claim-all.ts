// SPDX-License-Identifier: AGPL-3.0-or-later
// A worker process of the race test: claims one job, says so, waits for a line, claims until nothing is
// left, and prints the ids.
import { seconds } from "../../src/base/units.ts";
import { openStore } from "../../src/store/sqlite/open.ts";

const [path = "", keyFile = "", owner = ""] = process.argv.slice(2);
const store = await openStore({ path, keyFile });
const ids: string[] = [];

async function claim(): Promise<boolean> {
  const claimed = await store.jobs.claim(owner, 1000, seconds(60));
  if (claimed !== undefined) ids.push(claimed.job.id);
  return claimed !== undefined;
}

// Both processes hold a job before either goes on: the race is a race on any machine.
await claim();
process.stdout.write("ready\n");
for await (const _go of console) break;
while (await claim()) {
  // Lets the other process in between two claims, on one core as well.
  await new Promise((resolve) => setImmediate(resolve));
}
await store.close();
process.stdout.write(JSON.stringify(ids));
