// SPDX-License-Identifier: AGPL-3.0-or-later
import { describeError, ProvError } from "../base/errors.ts";
import type { JsonObject } from "../base/json.ts";
import { stringAt } from "../base/json.ts";
import { type Millis, minutes, seconds } from "../base/units.ts";
import { type Answer, isOk, messagesOf } from "./answer.ts";
import type { MediaSlot } from "./capabilities.ts";
import {
  type Connection,
  type ConnectionDeps,
  isLost,
  type Resource,
  refusal,
} from "./connection.ts";
import { type InsertField, insertBody, nextFields } from "./insert-body.ts";
import type { Quirks } from "./quirks.ts";
import { retryAfter } from "./retry.ts";
import { chooseSlots, type SlotTrees } from "./slots.ts";
import { pollUntil } from "./wait.ts";

export interface MediaContext {
  readonly connection: Connection;
  readonly deps: ConnectionDeps;
  readonly quirks: Quirks;
}

/** Some BMCs answer an insert only after they have downloaded the whole image. */
const INSERT_TIMEOUT = minutes(3);

const INSERTED_TIMEOUT = seconds(60);
const EJECTED_TIMEOUT = seconds(30);
const POLL = seconds(2);

/** A BMC that is still busy with the last eject refuses inserts for some seconds. */
const BUSY_TRIES = 5;
const BUSY_PAUSE = seconds(3);

/** Six fields can be asked for and some taken back; more rounds than that are a circle. */
const BODY_TRIES = 8;

const BUSY = [409, 429, 500, 502, 503, 504];

/** What a slot shows. */
interface Medium {
  readonly resource: Resource;
  /** Really there: some BMCs keep Inserted or Image of a medium that is long gone. */
  readonly inserted: boolean;
  readonly connected: boolean;
  readonly image: string;
}

async function readMedium(connection: Connection, slot: MediaSlot): Promise<Medium> {
  const resource = await connection.get(slot.path);
  const { body } = resource;
  const connected = stringAt(body, "ConnectedVia") !== "NotConnected";
  return {
    resource,
    connected,
    inserted: body.Inserted === true && connected,
    image: stringAt(body, "Image") ?? "",
  };
}

/** BMCs show the URL whole, without its host, or not at all; its path is unique to one insert. */
function shows(medium: Medium, url: string): boolean {
  return medium.image === "" || medium.image.includes(new URL(url).pathname);
}

/**
 * Inserts the image at `url` and returns when the slot shows it. A slot that holds it already is left alone,
 * another medium in it is ejected first. The body grows from `{Image}` by what the BMC asks for.
 *
 * @param url unique to this insert, so that what the slot shows cannot be left from an earlier one.
 * @throws {ProvError} `BMC_REFUSED`, `BMC_UNREACHABLE`, `BMC_TIMED_OUT`
 */
export async function insertMedium(
  context: MediaContext,
  slot: MediaSlot,
  url: string,
): Promise<void> {
  const { connection, deps, quirks } = context;
  const before = await readMedium(connection, slot);
  if (before.inserted && before.image !== "" && shows(before, url)) return;
  if (before.inserted) await ejectMedium(context, slot);
  let fields: ReadonlySet<InsertField> = new Set(quirks.insertFields);
  for (let bodies = 0; bodies < BODY_TRIES; bodies++) {
    const answer = await sendInsert(context, slot, url, fields);
    if (answer === undefined || isOk(answer)) {
      await expectInserted(context, slot, url);
      return;
    }
    const next = nextFields(fields, messagesOf(answer.body));
    if (next === undefined) throw insertRefused(slot, url, answer);
    deps.log.debug({ slot: slot.path, fields: [...next] }, "insert body changed");
    fields = next;
  }
  throw new ProvError(`Cannot insert an image into ${slot.path}: the BMC never stops asking`, {
    code: "BMC_REFUSED",
  });
}

/**
 * Sends one body until there is an answer to it that says more than "busy". Before each repeat the slot is
 * read, because a busy or lost answer does not mean that nothing was done.
 *
 * @returns undefined when the slot shows the image although no answer said so.
 */
async function sendInsert(
  context: MediaContext,
  slot: MediaSlot,
  url: string,
  fields: ReadonlySet<InsertField>,
): Promise<Answer | undefined> {
  for (let attempt = 1; ; attempt++) {
    const outcome = await tryInsert(context.connection, slot, insertBody(url, fields));
    if (!(outcome instanceof ProvError) && !isBusy(outcome, fields)) return outcome;
    if (await appearsAfter(context, slot, url, outcome)) return undefined;
    if (attempt < BUSY_TRIES) continue;
    if (outcome instanceof ProvError) throw outcome;
    return outcome;
  }
}

const isBusy = (answer: Answer, fields: ReadonlySet<InsertField>): boolean =>
  BUSY.includes(answer.status) && nextFields(fields, messagesOf(answer.body)) === undefined;

/** The answer, or the error that says it was lost. */
async function tryInsert(
  connection: Connection,
  slot: MediaSlot,
  body: JsonObject,
): Promise<Answer | ProvError> {
  try {
    if (slot.insertTarget === undefined) {
      return await connection.patch(await connection.get(slot.path), body, INSERT_TIMEOUT);
    }
    return await connection.send({
      method: "POST",
      path: slot.insertTarget,
      body,
      timeout: INSERT_TIMEOUT,
    });
  } catch (error) {
    if (isLost(error)) return error;
    throw error;
  }
}

/** Whether the slot comes to show the image although the answer was busy or lost. */
async function appearsAfter(
  { connection, deps }: MediaContext,
  slot: MediaSlot,
  url: string,
  outcome: Answer | ProvError,
): Promise<boolean> {
  const lost = outcome instanceof ProvError;
  const wait = lost ? undefined : retryAfter(outcome.headers.get("retry-after"), deps.now());
  await deps.sleep(wait ?? BUSY_PAUSE, deps.signal);
  const { reached } = await pollUntil(
    deps,
    { timeout: lost ? INSERTED_TIMEOUT : POLL, every: POLL },
    {
      read: () => readMedium(connection, slot),
      done: (medium) => medium.inserted && medium.image !== "" && shows(medium, url),
    },
  );
  return reached;
}

async function expectInserted(
  { connection, deps }: MediaContext,
  slot: MediaSlot,
  url: string,
): Promise<void> {
  const { value, reached } = await pollUntil(
    deps,
    { timeout: INSERTED_TIMEOUT, every: POLL },
    {
      read: () => readMedium(connection, slot),
      done: (medium) => medium.inserted && shows(medium, url),
    },
  );
  if (reached) return;
  if (value.resource.body.Inserted === true && value.image !== "" && shows(value, url)) {
    // Some BMCs connect to the image server only when the host is turned on.
    deps.log.warn({ slot: slot.path }, "medium is inserted and not yet connected");
    return;
  }
  throw new ProvError(
    `Cannot insert an image into ${slot.path}: the BMC took the request and after ${INSERTED_TIMEOUT / 1000} s shows ${value.inserted ? "another image" : "an empty drive"}`,
    {
      code: "BMC_TIMED_OUT",
      hint: "Check that the BMC can reach the controller's media URL and that its licence covers virtual media.",
    },
  );
}

function insertRefused(slot: MediaSlot, url: string, answer: Answer): ProvError {
  return refusal(`Cannot insert an image into ${slot.path}`, answer, {
    hide: secretOf(url),
    hint: "Check that the BMC takes images by this protocol and that its licence covers virtual media.",
  });
}

/** BMCs quote the image's URL in errors, and its path is a secret of the job. */
const secretOf = (image: string): string => URL.parse(image)?.pathname ?? image;

/**
 * Ejects whatever is really inserted in `slot` and returns when it is out.
 *
 * @returns false when there was nothing to eject.
 * @throws {ProvError} `BMC_REFUSED`, `BMC_UNREACHABLE`, `BMC_TIMED_OUT`
 */
export async function ejectMedium(context: MediaContext, slot: MediaSlot): Promise<boolean> {
  const { connection, deps, quirks } = context;
  const { inserted, image } = await readMedium(connection, slot);
  if (!inserted) return false;
  let failure: ProvError | undefined;
  for (let attempt = 0; attempt < BUSY_TRIES; attempt++) {
    failure = await tryEject(connection, slot, image);
    const { reached } = await pollUntil(
      deps,
      { timeout: failure === undefined ? EJECTED_TIMEOUT : BUSY_PAUSE, every: POLL },
      { read: () => readMedium(connection, slot), done: (medium) => !medium.inserted },
    );
    if (reached) {
      await deps.sleep(quirks.pauseAfterEject, deps.signal);
      return true;
    }
    if (failure === undefined) break;
  }
  throw new ProvError(`Cannot eject the medium from ${slot.path}: it is still inserted`, {
    code: "BMC_TIMED_OUT",
    ...(failure && { cause: failure }),
  });
}

/**
 * Empties the slots of both trees: what only the one that is not used shows could still be booted from.
 * A slot that fails does not keep the others from being emptied.
 *
 * @returns how many media were ejected.
 * @throws {ProvError} that of the first slot in use that failed; see {@link ejectMedium}.
 */
export async function ejectTrees(context: MediaContext, trees: SlotTrees): Promise<number> {
  const used = chooseSlots(trees);
  const failures: unknown[] = [];
  let ejected = 0;
  for (const slot of [...trees.ofSystem, ...trees.ofManagers]) {
    try {
      if (await ejectMedium(context, slot)) ejected++;
    } catch (error) {
      context.deps.signal.throwIfAborted();
      // Slots left in the tree that a firmware has moved away from answer with errors for no reason.
      if (used.includes(slot)) failures.push(error);
      else
        context.deps.log.warn({ slot: slot.path, error: describeError(error) }, "slot not emptied");
    }
  }
  if (failures.length > 0) throw failures[0];
  return ejected;
}

/** Undefined when the BMC took the request; otherwise why not, which may just mean that nothing is in. */
async function tryEject(
  connection: Connection,
  slot: MediaSlot,
  image: string,
): Promise<ProvError | undefined> {
  const { ejectTarget } = slot;
  const [first, second] =
    ejectTarget === undefined
      ? ([{ Image: null }, { Image: null, Inserted: false }] as const)
      : // HPE wants an object, if only an empty one; others refuse any body.
        ([undefined, {}] as const);
  const send = async (body: JsonObject | undefined): Promise<Answer> =>
    ejectTarget === undefined
      ? connection.patch(await connection.get(slot.path), body ?? {})
      : connection.send({ method: "POST", path: ejectTarget, ...(body && { body }) });
  try {
    let answer = await send(first);
    if (answer.status === 400 || answer.status === 415) answer = await send(second);
    if (isOk(answer)) return undefined;
    return refusal(`Cannot eject from ${slot.path}`, answer, { hide: secretOf(image) });
  } catch (error) {
    if (isLost(error)) return error;
    throw error;
  }
}
