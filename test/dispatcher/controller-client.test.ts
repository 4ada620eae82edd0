// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { describeError } from "../../src/base/errors.ts";
import { minutes, seconds } from "../../src/base/units.ts";
import { postToController } from "../../src/dispatcher/controller-client.ts";
import { startProgress } from "../../src/dispatcher/progress.ts";
import { FakeClock, settle } from "../controller/fake-clock.ts";
import { ENVELOPE } from "./agent-tree.ts";
import { FakeController } from "./fake-controller.ts";

const status = (code: number) => new Response("{}", { status: code });

describe("postToController()", () => {
  const post = (controller: FakeController, patience = minutes(10)) =>
    postToController(ENVELOPE, "/x", { hello: 1 }, { patience }, controller.deps);

  test("sends JSON with the job's token", async () => {
    const controller = new FakeController();
    await post(controller);
    expect(controller.asked).toHaveLength(1);
    const [asked] = controller.asked;
    expect(asked?.url).toBe("http://10.0.0.1:8080/x");
    expect(asked?.headers.get("x-webhook-secret")).toBe(ENVELOPE.token);
    expect(asked?.body).toBe('{"hello":1}');
  });

  test.each([500, 502, 503, 429])(
    "tries again after HTTP %d, and at the other URL",
    async (code) => {
      let calls = 0;
      const controller = new FakeController(() => status(++calls < 6 ? code : 200));
      await post(controller);
      expect(controller.asked.map(({ url }) => new URL(url).hostname)).toEqual([
        "10.0.0.1",
        "10.0.0.2",
        "10.0.0.1",
        "10.0.0.2",
        "10.0.0.1",
        "10.0.0.2",
      ]);
      expect(controller.slept).toEqual([1000, 2000]);
    },
  );

  test.each([400, 401, 403, 404, 410])("takes HTTP %d for the answer", async (code) => {
    const controller = new FakeController(() => status(code));
    await expect(post(controller)).rejects.toMatchObject({ code: "FORBIDDEN" });
    expect(controller.asked).toHaveLength(2);
  });

  test("does not take somebody else's answer for the controller's", async () => {
    const controller = new FakeController(({ url }) =>
      status(url.includes("10.0.0.1") ? 404 : controller.asked.length < 4 ? 503 : 200),
    );
    await post(controller);
    expect(controller.slept).toEqual([1000]);
  });

  test("waits longer and longer, and gives up when its patience is used up", async () => {
    const controller = new FakeController(() => undefined);
    const error = await post(controller, seconds(60)).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "CONTROLLER_UNREACHABLE" });
    expect(describeError(error)).toContain("http://10.0.0.2:8080: connection refused");
    expect(controller.slept).toEqual([1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]);
    expect(describeError(error)).not.toContain(ENVELOPE.token);
  });
});

describe("startProgress()", () => {
  const step = "image-linux.service";
  const bytes = (done: number) => ({ type: "bytes", step, done, total: 100 }) as const;
  const log = (message: string) => ({ type: "log", step, level: "info", message }) as const;

  function start(controller: FakeController) {
    const clock = new FakeClock();
    const { now, sleep } = clock;
    return { clock, progress: startProgress(ENVELOPE, { ...controller.deps, now, sleep }) };
  }

  test("sends every second what came since, of bytes only the latest", async () => {
    const controller = new FakeController();
    const { clock, progress } = start(controller);
    progress.send({ type: "step-started", step });
    progress.send(bytes(1));
    progress.send(bytes(2));
    progress.send(log("a"));
    progress.send(bytes(3));
    await clock.advance(999);
    expect(controller.asked).toHaveLength(0);
    await clock.advance(5000);
    expect(controller.asked).toHaveLength(1);
    expect(controller.events).toEqual([{ type: "step-started", step }, log("a"), bytes(3)]);
    await progress.close();
    expect(controller.asked).toHaveLength(1);
  });

  test("close() sends what is left at once", async () => {
    const controller = new FakeController();
    const { progress } = start(controller);
    progress.send(log("the end"));
    await progress.close();
    expect(controller.events).toEqual([log("the end")]);
  });

  test("keeps events, and not old byte counts, for a controller that comes back", async () => {
    let isAway = true;
    const controller = new FakeController(() => (isAway ? undefined : status(204)));
    const { clock, progress } = start(controller);
    progress.send(log("a"));
    progress.send(bytes(1));
    await clock.advance(30_000);
    isAway = false;
    controller.asked.length = 0;
    progress.send(bytes(9));
    await progress.close();
    expect(controller.events).toEqual([log("a"), bytes(9)]);
  });

  test("does not send again what was refused, so that the next events get through", async () => {
    const controller = new FakeController(({ body }) =>
      status(body.includes("unknown to it") ? 400 : 204),
    );
    const { clock, progress } = start(controller);
    progress.send(log("unknown to it"));
    await clock.advance(5000);
    controller.asked.length = 0;
    progress.send(log("a"));
    await progress.close();
    expect(controller.events).toEqual([log("a")]);
  });

  test("goes on with the URL that answered, and comes back to the others when it does not", async () => {
    let reachable = "10.0.0.2";
    const controller = new FakeController(({ url }) =>
      url.includes(reachable) ? status(204) : undefined,
    );
    const { clock, progress } = start(controller);
    for (const message of ["a", "b", "c"]) {
      progress.send(log(message));
      await clock.advance(2000);
      if (message === "b") reachable = "10.0.0.1";
    }
    await progress.close();
    const hosts = controller.asked.map(({ url }) => new URL(url).hostname);
    expect(hosts).toEqual(["10.0.0.1", "10.0.0.2", "10.0.0.2", "10.0.0.2", "10.0.0.1"]);
  });

  test("forgets the oldest when a controller stays away", async () => {
    const controller = new FakeController(() => undefined);
    const { clock, progress } = start(controller);
    for (let i = 0; i < 1000; i++) progress.send(log(`line ${i}`));
    await clock.advance(5000);
    await progress.close();
    const last = JSON.parse(controller.asked.at(-1)?.body ?? "");
    expect(last.events).toHaveLength(200);
    expect(last.events.at(-1)).toEqual(log("line 999"));
  });

  test("close() waits five seconds for a controller that never answers, and no longer", async () => {
    const controller = new FakeController(() => new Promise<Response>(() => {}));
    const { clock, progress } = start(controller);
    progress.send(log("a"));
    let isClosed = false;
    const closing = progress.close().then(() => {
      isClosed = true;
    });
    await clock.advance(4999);
    expect(isClosed).toBe(false);
    await clock.advance(1);
    await settle();
    expect(isClosed).toBe(true);
    await closing;
  });
});
