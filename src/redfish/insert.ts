// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../base/errors.ts";
import type { JsonObject } from "../base/json.ts";
import { minutes, seconds } from "../base/units.ts";
import { type Answer, isOk, messagesOf } from "./answer.ts";
import type { MediaSlot } from "./capabilities.ts";
import { type Connection, isLost, refusal } from "./connection.ts";
import { ejectMedium } from "./eject.ts";
import { type InsertField, insertBody, nextFields } from "./insert-body.ts";
import {
  BUSY_PAUSE,
  BUSY_TRIES,
  type MediaContext,
  readMedium,
  SLOT_POLL,
  secretsOf,
  shows,
} from "./medium.ts";
import { retryAfter } from "./retry.ts";
import { pollUntil } from "./wait.ts";

/** Some BMCs answer an insert only after they have downloaded the whole image. */
const INSERT_TIMEOUT = minutes(3);

const INSERTED_TIMEOUT = seconds(60);

/** Six fields can be asked for and some taken back; more rounds than that are a circle. */
const BODY_TRIES = 8;

const BUSY = [409, 429, 500, 502, 503, 504];

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
    { timeout: lost ? INSERTED_TIMEOUT : SLOT_POLL, every: SLOT_POLL },
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
    { timeout: INSERTED_TIMEOUT, every: SLOT_POLL },
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
    hide: secretsOf(url),
    hint: "Check that the BMC takes images by this protocol and that its licence covers virtual media.",
  });
}
