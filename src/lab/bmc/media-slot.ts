// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Clock } from "../../base/deps.ts";
import type { Machine, Medium } from "../machine/machine.ts";
import type { Faults } from "./faults.ts";
import type { Personality, SlotModel } from "./personality.ts";
import { Refusal } from "./refusal.ts";

/** One virtual media slot, in front of the machine's drive of the same number. */
export interface MediaSlot {
  readonly model: SlotModel;
  readonly drive: number;
  image: string | null;
  isFilled: boolean;
  /** When the last insert or eject becomes visible; Unix epoch, ms. */
  settlesAt: number;
  /** Counts changes: the ETag. */
  version: number;
}

export interface SlotContext {
  readonly personality: Personality;
  readonly machine: Machine;
  readonly faults: Faults;
  readonly now: Clock;
  readonly slots: readonly MediaSlot[];
}

export function createSlots(personality: Personality): readonly MediaSlot[] {
  return personality.slots.map((model, drive) => ({
    model,
    drive,
    image: null,
    isFilled: false,
    settlesAt: 0,
    version: 1,
  }));
}

/** @throws {Refusal} 500 when it is occupied, or still being ejected: what iDRACs and iLOs answer. */
export async function fillSlot(
  slot: MediaSlot,
  medium: Medium,
  context: SlotContext,
): Promise<void> {
  const { faults, personality, slots, now } = context;
  if (faults.insertFails > 0) {
    faults.insertFails--;
    throw new Refusal(
      500,
      "Base.1.12.InternalError",
      "The request failed due to an internal error.",
    );
  }
  const others = personality.oneAtATime ? slots : [slot];
  if (others.some((s) => showsInserted(s, now()) || s.isFilled)) {
    const message = "Virtual media is already connected, or is being disconnected.";
    throw new Refusal(500, "Base.1.12.ResourceInUse", message);
  }
  // Set before the await, so that a second insert at the same time finds it taken.
  slot.isFilled = true;
  slot.image = medium.url;
  slot.settlesAt = now() + personality.insertedAfterMs;
  slot.version++;
  try {
    if (!faults.neverReadsMedia) await context.machine.insert(slot.drive, medium);
  } catch (error) {
    slot.isFilled = false;
    slot.image = null;
    throw error;
  }
}

/** Ejecting an empty slot succeeds, as on most BMCs. */
export async function emptySlot(slot: MediaSlot, context: SlotContext): Promise<void> {
  if (!slot.isFilled) return;
  slot.isFilled = false;
  slot.settlesAt = context.now() + context.faults.ejectSlow;
  if (!context.personality.keepsImage) slot.image = null;
  slot.version++;
  await context.machine.eject(slot.drive);
}

/** What the BMC says, which lags behind what is. */
export function showsInserted(slot: MediaSlot, now: number): boolean {
  return now >= slot.settlesAt ? slot.isFilled : !slot.isFilled;
}
