// SPDX-License-Identifier: AGPL-3.0-or-later
import { describeError, ProvError } from "../base/errors.ts";
import type { JsonObject } from "../base/json.ts";
import { seconds } from "../base/units.ts";
import { type Answer, isOk } from "./answer.ts";
import type { MediaSlot } from "./capabilities.ts";
import { type Connection, isLost, refusal } from "./connection.ts";
import {
  BUSY_PAUSE,
  BUSY_TRIES,
  type MediaContext,
  readMedium,
  SLOT_POLL,
  secretsOf,
} from "./medium.ts";
import { chooseSlots, type SlotTrees } from "./slots.ts";
import { pollUntil } from "./wait.ts";

const EJECTED_TIMEOUT = seconds(30);

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
      { timeout: failure === undefined ? EJECTED_TIMEOUT : BUSY_PAUSE, every: SLOT_POLL },
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
    return refusal(`Cannot eject from ${slot.path}`, answer, { hide: secretsOf(image) });
  } catch (error) {
    if (isLost(error)) return error;
    throw error;
  }
}
