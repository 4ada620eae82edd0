// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { describeError, ProvError } from "../../src/base/errors.ts";
import { millis, seconds } from "../../src/base/units.ts";
import type { Bmc } from "../../src/redfish/bmc.ts";
import type { MediaSlot } from "../../src/redfish/capabilities.ts";
import { PASSWORD, problem, SERIAL } from "./fake-bmc.ts";
import { personality } from "./personalities.ts";
import { setUp } from "./set-up.ts";

const ISO = "https://192.0.2.1/m/k3Jx9/boot.iso";
const SYSTEM = "/redfish/v1/Systems/s1";
const RESET = `${SYSTEM}/Actions/ComputerSystem.Reset`;

async function firstSlot(bmc: Bmc): Promise<MediaSlot> {
  const [slot] = (await bmc.probe(SERIAL)).slots;
  if (slot === undefined) throw new RangeError("no slot");
  return slot;
}

async function failure(promise: Promise<unknown>): Promise<ProvError> {
  const error = await promise.then(
    () => undefined,
    (e) => e,
  );
  if (!(error instanceof ProvError)) throw new TypeError(`Expected a ProvError, got ${error}`);
  return error;
}

describe("discovery", () => {
  test("R21: the system is the one with the serial; other serials are refused with what was found", async () => {
    const { bmc } = setUp("HPE iLO5");
    expect((await bmc.probe(` ${SERIAL.toLowerCase()} `)).systemPath).toBe(SYSTEM);
    const error = await failure(bmc.probe("NOPE"));
    expect(error.code).toBe("SERVER_MISMATCH");
    expect(error.message).toBe(
      `Cannot find server "NOPE" behind the BMC: it has /redfish/v1/Systems/s0 (OTHER), ${SYSTEM} (${SERIAL})`,
    );
  });

  test("without a probe, a BMC with two servers is not guessed at", async () => {
    const { fake, bmc } = setUp();
    expect((await failure(bmc.powerOff())).code).toBe("SERVER_MISMATCH");
    expect(fake.changes()).toEqual([]);
  });

  test("no virtual media is told with what was looked at", async () => {
    const p = { ...personality("OpenBMC"), slots: [{ id: "Proxy_0", kinds: ["CD"], by: "none" }] };
    const error = await failure(setUp(p as typeof p & { slots: [] }).bmc.probe(SERIAL));
    expect(error.code).toBe("BMC_UNSUPPORTED");
    expect(error.message).toBe(
      "Cannot use virtual media of the BMC at https://bmc.test: " +
        `${SYSTEM} has no VirtualMedia; ` +
        "/redfish/v1/Managers/m1/VirtualMedia/Proxy_0 has neither an InsertMedia action nor PATCH; " +
        "/redfish/v1/Managers/m1/VirtualMedia has no usable slot",
    );
  });

  test("systems that show up late are waited for", async () => {
    const { fake, bmc, clock } = setUp();
    const start = clock.now;
    fake.fault = ({ path }) =>
      path === "/redfish/v1/Systems" && clock.now < start + 70_000
        ? Response.json({ Members: [] })
        : undefined;
    expect((await bmc.probe(SERIAL)).model).toBe("R2");
  });
});

describe("session", () => {
  test("R25: one session serves all requests, a 401 brings one new one, close deletes it", async () => {
    const { fake, bmc } = setUp();
    await bmc.probe(SERIAL);
    await bmc.powerState();
    const logins = () =>
      fake.seen.filter((s) => s.method === "POST" && s.path.endsWith("/Sessions")).length;
    expect(logins()).toBe(1);
    fake.sessions.clear();
    await Promise.all([bmc.powerState(), bmc.powerState(), bmc.powerState()]);
    expect(logins()).toBe(2);
    await bmc.close();
    expect(fake.sessions.size).toBe(0);
  });

  test.each(["iDRAC9 6.x", "NVIDIA DGX", "sushy-tools"])(
    "a wrong password is tried once and never again: %s",
    async (name) => {
      const { fake, bmc, logged } = setUp(name, { address: { password: "wrong-canary" } });
      const error = await failure(bmc.probe(SERIAL));
      expect(error.code).toBe("BMC_UNAUTHORIZED");
      expect(error.message).toBe(
        'Cannot log in to the BMC at https://bmc.test: it refuses user "root"',
      );
      const requests = fake.seen.length;
      expect(await failure(bmc.powerOn())).toBe(error);
      expect(fake.seen).toHaveLength(requests);
      expect(describeError(error) + logged.join("")).not.toContain("wrong-canary");
    },
  );

  test("the session is deleted even when the job was canceled", async () => {
    const cancel = new AbortController();
    const { fake, bmc } = setUp("HPE iLO5", { deps: { signal: cancel.signal } });
    await bmc.probe(SERIAL);
    cancel.abort(new Error("Canceled"));
    await expect(bmc.powerOff()).rejects.toThrow("Canceled");
    await bmc.close();
    expect(fake.sessions.size).toBe(0);
  });
});

describe("retries", () => {
  const DATE = new Date(Date.UTC(2026, 0, 1, 0, 0, 9)).toUTCString();

  const CASES: { header: Record<string, string>; waits: number[] }[] = [
    { header: { "retry-after": "7" }, waits: [7000, 7000] },
    { header: { "retry-after": DATE }, waits: [9000, 0] },
    { header: {}, waits: [500, 1000] },
  ];
  test.each(CASES)("R25: a 503 is read again after $waits ms", async (row) => {
    const { header, waits } = row;
    const { fake, bmc, slept } = setUp();
    let left = 2;
    fake.fault = ({ path }) =>
      path === SYSTEM && left-- > 0
        ? problem(503, "ServiceTemporarilyUnavailable", "Busy.", [], header)
        : undefined;
    await bmc.probe(SERIAL);
    expect(slept).toEqual(waits);
  });

  test("an unreachable BMC is given up after five tries, with the cause", async () => {
    const { fake, bmc } = setUp();
    fake.fault = () => "refused";
    const error = await failure(bmc.probe(SERIAL));
    expect(error.code).toBe("BMC_UNREACHABLE");
    expect(describeError(error)).toBe(
      "Cannot GET /redfish/v1/ on the BMC at https://bmc.test: no answer: Unable to connect",
    );
    expect(fake.seen).toHaveLength(5);
  });

  test("a BMC that hangs is unreachable after the request's timeout", async () => {
    const { fake, bmc } = setUp("HPE iLO5", { deps: { requestTimeout: millis(20) } });
    fake.fault = () => "hang";
    const error = await failure(bmc.probe(SERIAL));
    expect(error.code).toBe("BMC_UNREACHABLE");
    expect(fake.seen).toHaveLength(5);
  });

  test("cancel ends a request that hangs with the signal's reason", async () => {
    const cancel = new AbortController();
    const { fake, bmc } = setUp("HPE iLO5", { deps: { signal: cancel.signal } });
    fake.fault = () => {
      queueMicrotask(() => cancel.abort(new Error("Canceled")));
      return "hang";
    };
    await expect(bmc.probe(SERIAL)).rejects.toThrow("Canceled");
  });

  test("an answer without end is refused", async () => {
    const { fake, bmc } = setUp();
    fake.fault = ({ path }) => (path === SYSTEM ? new Response("x".repeat(1_048_577)) : undefined);
    const error = await failure(bmc.probe(SERIAL));
    expect(error.code).toBe("BMC_REFUSED");
    expect(error.message).toContain("larger than 1 MiB");
  });

  test("a redirect is followed on the BMC only", async () => {
    const { fake, bmc } = setUp();
    fake.fault = ({ path }) =>
      path === "/redfish/v1/Managers/m1" && !fake.seen.some((s) => s.path === "/redfish/v1/moved")
        ? new Response(null, {
            status: 308,
            headers: { location: "https://evil.test/redfish/v1/moved" },
          })
        : path === "/redfish/v1/moved"
          ? Response.json({ FirmwareVersion: "moved" })
          : undefined;
    expect((await bmc.probe(SERIAL)).bmcFirmware).toBe("moved");
  });
});

describe("power", () => {
  test("R24: a server that is in the state already is left alone", async () => {
    const { fake, bmc } = setUp();
    await bmc.probe(SERIAL);
    await bmc.powerOn();
    expect(fake.changes()).toEqual([]);
    await bmc.powerOff();
    await bmc.powerOff();
    expect(fake.changes()).toEqual([`POST ${RESET}`]);
  });

  test("R25: a reset whose answer is lost is not sent again when it was done", async () => {
    const { fake, bmc } = setUp();
    await bmc.probe(SERIAL);
    fake.fault = ({ path }) => (path === RESET ? "lost" : undefined);
    await bmc.powerOff();
    expect(fake.changes()).toEqual([`POST ${RESET}`]);
    expect(await bmc.powerState()).toBe("Off");
  });

  test("a reset that never arrived is sent again", async () => {
    const { fake, bmc } = setUp();
    await bmc.probe(SERIAL);
    let left = 1;
    fake.fault = ({ path }) => (path === RESET && left-- > 0 ? "refused" : undefined);
    await bmc.powerOff();
    expect(await bmc.powerState()).toBe("Off");
    expect(fake.changes()).toHaveLength(2);
  });

  test("a server that never gets there ends in time", async () => {
    const { fake, bmc, clock } = setUp();
    await bmc.probe(SERIAL);
    const start = clock.now;
    fake.fault = ({ path }) => (path === RESET ? new Response(null, { status: 204 }) : undefined);
    const error = await failure(bmc.powerOff(seconds(60)));
    expect(error.code).toBe("BMC_TIMED_OUT");
    expect(error.message).toBe("Cannot turn the server Off: after 60 s its power state is On");
    expect(clock.now - start).toBe(60_000);
    expect(fake.changes(), "an accepted reset is not repeated").toHaveLength(1);
  });

  test("a user without the privilege is told at once", async () => {
    const { fake, bmc } = setUp();
    await bmc.probe(SERIAL);
    fake.fault = ({ path }) =>
      path === RESET ? problem(403, "InsufficientPrivilege", "Not you.") : undefined;
    const error = await failure(bmc.powerOff());
    expect(describeError(error)).toBe(`Cannot reset ${SYSTEM} (ForceOff): HTTP 403: Not you.`);
    expect(fake.changes()).toHaveLength(1);
  });
});

describe("virtual media", () => {
  test("an insert whose answer is lost is not sent again when it was done", async () => {
    const { fake, bmc } = setUp();
    const slot = await firstSlot(bmc);
    fake.fault = ({ path }) => (path.endsWith("/Insert") ? "lost" : undefined);
    await bmc.insert(slot, ISO);
    expect(fake.inserted).toHaveLength(1);
  });

  test("an image that is in already is left alone, another is ejected first", async () => {
    const { fake, bmc } = setUp();
    const slot = await firstSlot(bmc);
    fake.put(slot.id, "https://192.0.2.9/other.iso");
    await bmc.insert(slot, ISO);
    await bmc.insert(slot, ISO);
    expect(fake.changes().map((change) => change.split("/").at(-1))).toEqual(["Eject", "Insert"]);
    expect(fake.media()).toEqual([ISO]);
  });

  test("a BMC that is busy with the last eject is asked again", async () => {
    const { fake, bmc } = setUp();
    const slot = await firstSlot(bmc);
    let left = 3;
    fake.fault = ({ path }) =>
      path.endsWith("/Insert") && left-- > 0 ? problem(500, "Busy", "Ejecting.") : undefined;
    await bmc.insert(slot, ISO);
    expect(fake.media()).toEqual([ISO]);
  });

  test("an accepted insert that attaches nothing is an error", async () => {
    const p = { ...personality("iDRAC9 6.x"), silentlyRequires: ["Nothing"] };
    const { bmc } = setUp(p);
    const error = await failure(bmc.insert(await firstSlot(bmc), ISO));
    expect(error.code).toBe("BMC_TIMED_OUT");
    expect(error.message).toContain("shows an empty drive");
  });

  test("a Task that fails is an error with the Task's messages", async () => {
    const { fake, bmc } = setUp("Supermicro");
    const slot = await firstSlot(bmc);
    fake.fault = ({ path }) =>
      path.includes("/TaskMonitors/")
        ? Response.json({
            TaskState: "Exception",
            Messages: [{ MessageId: "SMC.1", Message: `Cannot fetch ${ISO}` }],
          })
        : undefined;
    const error = await failure(bmc.insert(slot, ISO));
    expect(describeError(error)).toBe(
      `Cannot insert an image into ${slot.path}: HTTP 400: Cannot fetch https://192.0.2.1…`,
    );
  });

  test("a slot that will not let go does not keep the others from being emptied", async () => {
    const { fake, bmc } = setUp("Fujitsu iRMC");
    const slot = await firstSlot(bmc);
    fake.put("0", "https://192.0.2.9/a.iso");
    fake.put("1", "https://192.0.2.9/b.img");
    fake.fault = ({ path }) =>
      path === slot.ejectTarget ? problem(500, "Internal", "Stuck.") : undefined;
    const error = await failure(bmc.ejectAll());
    expect(error.message).toBe(`Cannot eject the medium from ${slot.path}: it is still inserted`);
    expect(fake.media()).toEqual(["https://192.0.2.9/a.iso"]);
  });
});

describe("boot override", () => {
  test("settings locked during POST are waited for", async () => {
    const { fake, bmc } = setUp("HPE iLO5");
    await bmc.probe(SERIAL);
    let left = 2;
    fake.fault = ({ method }) =>
      method === "PATCH" && left-- > 0
        ? problem(400, "iLO.2.14.UnableToModifyDuringSystemPOST", "POST is running.")
        : undefined;
    await bmc.bootOnceFromCd();
    expect(fake.boot.BootSourceOverrideEnabled).toBe("Once");
  });

  test("an override the BMC takes and does not show is an error", async () => {
    const { fake, bmc } = setUp("HPE iLO5");
    await bmc.probe(SERIAL);
    fake.fault = ({ method }) =>
      method === "PATCH" ? new Response(null, { status: 204 }) : undefined;
    const error = await failure(bmc.bootOnceFromCd());
    expect(error.message).toBe(
      "Cannot see the one-time boot from CD on the BMC: it took it and shows Enabled=Disabled Target=None Mode=UEFI",
    );
  });

  test("the mode is sent only where it differs", async () => {
    const { fake, bmc } = setUp("HPE iLO5");
    await bmc.probe(SERIAL);
    await bmc.bootOnceFromCd();
    expect(fake.seen.find((s) => s.method === "PATCH")?.body).toEqual({
      Boot: { BootSourceOverrideEnabled: "Once", BootSourceOverrideTarget: "Cd" },
    });
  });

  test("R25: an ETag is sent as given, then strong, then not at all", async () => {
    const { fake, bmc } = setUp("iDRAC9 6.x");
    await bmc.probe(SERIAL);
    fake.fault = ({ method, headers }) =>
      method === "PATCH" && headers.has("if-match")
        ? problem(412, "PreconditionFailed", "No.")
        : undefined;
    await bmc.bootOnceFromCd();
    const sent = fake.seen.filter((s) => s.method === "PATCH");
    expect(sent.map((s) => s.headers.get("if-match"))).toEqual(['W/"1"', '"1"', null]);
  });

  test("a BMC without a CD among its boot targets is unsupported", async () => {
    const p = { ...personality("HPE iLO5"), bootTargets: ["None", "Pxe"] };
    const { bmc } = setUp(p);
    await bmc.probe(SERIAL);
    const error = await failure(bmc.bootOnceFromCd());
    expect(error.message).toBe(
      "Cannot boot from CD: the BMC offers the boot targets None, Pxe only",
    );
  });
});

test("R26: changes to one BMC are made one at a time, in order, whatever becomes of them", async () => {
  const { fake, bmc } = setUp("Supermicro");
  const slot = await firstSlot(bmc);
  const results = await Promise.allSettled([
    bmc.powerOff(),
    bmc.insert({ ...slot, path: `${slot.path}x` }, ISO),
    bmc.insert(slot, ISO),
    bmc.bootOnceFromCd(),
    bmc.powerOn(),
  ]);
  expect(results.map((r) => r.status)).toEqual([
    "fulfilled",
    "rejected",
    "fulfilled",
    "fulfilled",
    "fulfilled",
  ]);
  expect(fake.mostAtOnce).toBe(1);
  expect(fake.changes()).toEqual([
    `POST ${RESET}`,
    `POST ${slot.insertTarget}`,
    `PATCH ${SYSTEM}`,
    `POST ${RESET}`,
  ]);
});

test("R53: neither password nor token reaches the log", async () => {
  const { fake, bmc, logged } = setUp("NVIDIA DGX");
  await bmc.probe(SERIAL);
  await bmc.powerOff();
  await bmc.close();
  expect(logged.length).toBeGreaterThan(0);
  for (const secret of [PASSWORD, btoa(`root:${PASSWORD}`), ...fake.sessions.values()]) {
    expect(logged.join("\n")).not.toContain(secret);
  }
});
