// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../../base/errors.ts";
import { isObject, type JsonObject, stringAt } from "../../base/json.ts";

/** QEMU's machine protocol (docs/interop/qmp-spec): JSON lines both ways. */
export interface Qmp {
  /** @throws {ProvError} `COMMAND_FAILED` when QEMU refuses it or has ended. */
  execute(command: string, args?: JsonObject): Promise<unknown>;
}

export interface QmpConnection {
  readonly input: ReadableStream<Uint8Array>;
  send(line: string): void;
  /** Called for each event, in order. */
  onEvent(name: string, data: unknown): void;
}

interface Pending {
  readonly command: string;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: ProvError) => void;
}

/** Waits for the greeting and negotiates; the commands of the result may then be used. */
export async function openQmp(connection: QmpConnection): Promise<Qmp> {
  const pending = new Map<number, Pending>();
  const greeting = Promise.withResolvers<unknown>();
  let lastId = 0;
  let closed = false;

  function receive(message: JsonObject): void {
    const event = stringAt(message, "event");
    if (event !== undefined) connection.onEvent(event, message.data);
    else if ("QMP" in message) greeting.resolve(message);
    else settle(pending, message);
  }

  function execute(command: string, args: JsonObject = {}): Promise<unknown> {
    if (closed) return Promise.reject(ended(command));
    const id = ++lastId;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    pending.set(id, { command, resolve, reject });
    connection.send(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
    return promise;
  }

  readLines(connection.input, receive).then(
    () => finish(),
    () => finish(),
  );
  function finish(): void {
    closed = true;
    greeting.reject(ended("greet"));
    for (const { command, reject } of pending.values()) reject(ended(command));
    pending.clear();
  }

  await greeting.promise;
  await execute("qmp_capabilities");
  return { execute };
}

function settle(pending: Map<number, Pending>, message: JsonObject): void {
  const waiting = pending.get(Number(message.id));
  if (waiting === undefined) return;
  pending.delete(Number(message.id));
  const refusal = stringAt(message, "error", "desc");
  if (refusal === undefined) {
    waiting.resolve(message.return);
    return;
  }
  const text = `Cannot execute ${waiting.command} in QEMU: ${refusal}`;
  waiting.reject(new ProvError(text, { code: "COMMAND_FAILED" }));
}

function ended(command: string): ProvError {
  return new ProvError(`Cannot execute ${command} in QEMU: it has ended`, {
    code: "COMMAND_FAILED",
  });
}

async function readLines(
  input: ReadableStream<Uint8Array>,
  receive: (message: JsonObject) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of input) {
    text += decoder.decode(chunk, { stream: true });
    const lines = text.split("\n");
    text = lines.pop() ?? "";
    for (const line of lines) {
      if (line.trim() === "") continue;
      const message: unknown = JSON.parse(line);
      if (isObject(message)) receive(message);
    }
  }
}
