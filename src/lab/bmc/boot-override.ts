// SPDX-License-Identifier: AGPL-3.0-or-later
import { isObject } from "../../base/json.ts";
import type { BootChoice } from "../machine/machine.ts";
import type { MediaSlot } from "./media-slot.ts";
import type { Personality } from "./personality.ts";
import { propertyNotInList, propertyUnknown } from "./refusal.ts";

/** The writable part of ComputerSystem.Boot (DSP2046). */
export interface BootOverride {
  BootSourceOverrideEnabled: string;
  BootSourceOverrideTarget: string;
  BootSourceOverrideMode: string;
}

export const noOverride = (): BootOverride => ({
  BootSourceOverrideEnabled: "Disabled",
  BootSourceOverrideTarget: "None",
  BootSourceOverrideMode: "UEFI",
});

export function allowedBoot(personality: Personality): Record<keyof BootOverride, string[]> {
  return {
    BootSourceOverrideEnabled: ["Disabled", "Once", "Continuous"],
    BootSourceOverrideTarget: ["None", "Pxe", personality.cdTarget, "Hdd", "BiosSetup"],
    BootSourceOverrideMode: ["UEFI"],
  };
}

/** Applies the `Boot` object of a PATCH: all of it, or none of it. @throws {Refusal} */
export function changeOverride(
  override: BootOverride,
  change: unknown,
  personality: Personality,
): void {
  const allowed: Record<string, readonly string[]> = allowedBoot(personality);
  if (!isObject(change)) throw propertyNotInList("Boot", change);
  for (const [name, value] of Object.entries(change)) {
    const values = allowed[name];
    if (values === undefined) throw propertyUnknown(`Boot/${name}`);
    if (typeof value !== "string" || !values.includes(value)) throw propertyNotInList(name, value);
  }
  Object.assign(override, change);
  if (override.BootSourceOverrideEnabled === "Disabled") override.BootSourceOverrideTarget = "None";
}

/** What the next start boots. A one-time override is used up by asking. */
export function takeBoot(
  override: BootOverride,
  slots: readonly MediaSlot[],
  personality: Personality,
): BootChoice {
  const isCd =
    override.BootSourceOverrideEnabled !== "Disabled" &&
    override.BootSourceOverrideTarget === personality.cdTarget;
  if (override.BootSourceOverrideEnabled === "Once") Object.assign(override, noOverride());
  if (!isCd) return "disk";
  const bootable = slots.filter((s) => s.model.mediaTypes.includes("CD"));
  const candidates = personality.bootsLowestSlotOnly ? bootable.slice(0, 1) : bootable;
  const chosen = candidates.find((s) => s.isFilled);
  return chosen === undefined ? "disk" : { drive: chosen.drive };
}
