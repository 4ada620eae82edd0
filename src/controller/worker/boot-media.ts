// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The phases that lead a server into the task: off, media in, next start from them, on. Each reads before it
 * changes, so that doing it again after a crash changes nothing that is right already.
 */

import { requireDelivery } from "./media.ts";
import { issueMedia, mediaUrl, slotsFor } from "./media-urls.ts";
import { enter, type PhaseContext, type Step } from "./phase.ts";

export async function runPowerOff({ bmc, signal }: PhaseContext): Promise<Step> {
  await bmc.use(signal, (b) => b.powerOff());
  return enter("insert", "The server is off");
}

export async function runInsert(context: PhaseContext): Promise<Step> {
  const { bmc, signal, server } = context;
  return await bmc.use(signal, async (b, capabilities) => {
    const delivery = server.delivery ?? requireDelivery(capabilities);
    const tokens = await issueMedia(delivery, context);
    const slots = slotsFor(delivery, capabilities);
    const ejected = await b.ejectAll();
    const events = ejected > 0 ? [`Ejected ${ejected} media that were in virtual drives`] : [];
    for (const [i, slot] of slots.entries()) {
      const token = tokens[i];
      if (token === undefined) throw new TypeError("A delivery has as many media as slots");
      await b.insert(slot, mediaUrl(token, slot, context.mediaUrls));
      events.push(`Inserted the ${token.kind} medium into ${slot.id}`);
    }
    return enter("boot-override", ...events);
  });
}

export async function runBootOverride({ bmc, signal }: PhaseContext): Promise<Step> {
  await bmc.use(signal, (b) => b.bootOnceFromCd());
  return enter("power-on", "The next start will be from the virtual CD");
}

/**
 * Switches the server on, and never restarts it: one that is on was switched on by an earlier attempt at
 * this phase, and may be in the middle of the task.
 */
export async function runPowerOn({ bmc, signal, job }: PhaseContext): Promise<Step> {
  if (job.checkedInAt !== null) return enter("waiting", "The server has started already");
  const wasOn = await bmc.use(signal, async (b) => {
    if ((await b.powerState()) === "On") return true;
    await b.powerOn();
    return false;
  });
  await bmc.hangUp();
  return enter(
    "waiting",
    wasOn
      ? "The server is on already: left alone"
      : "The server is on and should read its boot medium",
  );
}
