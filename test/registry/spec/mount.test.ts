// SPDX-License-Identifier: AGPL-3.0-or-later
/** distribution-spec, "Mounting a blob from another repository": end-11. */
import { expect, test } from "bun:test";
import { ALGORITHMS, digestOf } from "../../../src/registry/digest.ts";
import { text } from "../served.ts";
import { oneServer } from "./one-server.ts";
import { locationOf } from "./pushing.ts";

const { ask, fresh } = oneServer();

for (const algorithm of ALGORITHMS) {
  for (const isNamed of [true, false]) {
    test(`R48: end-11, ${isNamed ? "with" : "without"} from=: a mount MUST be 201 with a pullable Location (${algorithm})`, async () => {
      const [from, to] = [fresh(), fresh()];
      const body = text(`of ${from}`);
      const digest = digestOf(body, algorithm);
      await ask("POST", `${from}/blobs/uploads/?digest=${digest}`, { body });
      const query = `?mount=${digest}${isNamed ? `&from=${encodeURIComponent(from)}` : ""}`;
      const mounted = await ask("POST", `${to}/blobs/uploads/${query}`);
      expect(mounted.status).toBe(201);
      expect(mounted.headers.get("docker-content-digest")).toBe(digest);
      expect(await (await ask("GET", locationOf(mounted))).bytes()).toEqual(body);
      // Each has it for itself.
      expect((await ask("DELETE", `${to}/blobs/${digest}`)).status).toBe(202);
      expect((await ask("HEAD", `${to}/blobs/${digest}`)).status).toBe(404);
      expect((await ask("HEAD", `${from}/blobs/${digest}`)).status).toBe(200);
    });
  }
}

test.each([
  ["a blob that is nowhere", () => `?mount=${digestOf("nowhere")}&from=${fresh()}`],
  ["a blob that is nowhere, without from=", () => `?mount=${digestOf("nowhere")}`],
  ["what is no digest", () => "?mount=nonsense"],
  ["from what is no repository", () => `?mount=${digestOf("nowhere")}&from=../..`],
])(
  "R48: end-11: a mount that cannot be SHOULD be 202, an upload as any other: %s",
  async (_, query) => {
    const repository = fresh();
    const refused = await ask("POST", `${repository}/blobs/uploads/${query()}`);
    expect(refused.status).toBe(202);
    const digest = digestOf("nowhere");
    const put = await ask("PUT", `${locationOf(refused)}?digest=${digest}`, { body: "nowhere" });
    expect(put.status).toBe(201);
    expect(await (await ask("GET", locationOf(put))).text()).toBe("nowhere");
    await ask("DELETE", `${repository}/blobs/${digest}`);
  },
);

test("R48: end-11: a mount of what is there already is none the worse", async () => {
  const repository = fresh();
  const digest = digestOf("mine");
  await ask("POST", `${repository}/blobs/uploads/?digest=${digest}`, { body: "mine" });
  const again = await ask(
    "POST",
    `${repository}/blobs/uploads/?mount=${digest}&from=${repository}`,
  );
  expect(again.status).toBe(201);
  expect(await (await ask("GET", `${repository}/blobs/${digest}`)).text()).toBe("mine");
});
