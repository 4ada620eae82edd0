// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { openQmp } from "../../../src/lab/machine/qmp.ts";

function startEmptyQemu() {
  const child = Bun.spawn(
    ["qemu-system-x86_64", "-machine", "none", "-nodefaults", "-display", "none", "-qmp", "stdio"],
    { stdin: "pipe", stdout: "pipe", stderr: "ignore" },
  );
  const events: string[] = [];
  const connection = {
    input: child.stdout,
    send: (line: string) => {
      child.stdin.write(line);
      void child.stdin.flush();
    },
    onEvent: (name: string) => events.push(name),
  };
  return { child, events, connection };
}

test("commands, refusals and events of a real QEMU", async () => {
  const { child, events, connection } = startEmptyQemu();
  try {
    const qmp = await openQmp(connection);
    const [status, name] = await Promise.all([
      qmp.execute("query-status"),
      qmp.execute("query-name"),
    ]);
    expect(status).toMatchObject({ status: "running" });
    expect(name).toEqual({});
    const refused = qmp.execute("eject", { id: "nothing" });
    expect(refused).rejects.toThrow("Cannot execute eject in QEMU: Device 'nothing' not found");
    await qmp.execute("stop");
    expect(events).toContain("STOP");
    await qmp.execute("quit");
    await child.exited;
    expect(qmp.execute("query-status")).rejects.toThrow("it has ended");
  } finally {
    child.kill("SIGKILL");
    await child.exited;
  }
});

test("a QEMU that ends before its greeting", () => {
  const input = new Blob([""]).stream();
  const opened = openQmp({ input, send: () => undefined, onEvent: () => undefined });
  expect(opened).rejects.toThrow("it has ended");
});

test("messages that arrive in pieces", async () => {
  const pieces = [
    '{"QMP": {}}\r\n{"ret',
    'urn": {}, "id": 1}\n{"event": "RES',
    'ET", "data": {}}\n',
  ];
  const input = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const piece of pieces) controller.enqueue(new TextEncoder().encode(piece));
    },
  });
  const { promise, resolve } = Promise.withResolvers<string>();
  await openQmp({ input, send: () => undefined, onEvent: resolve });
  expect(await promise).toBe("RESET");
});
