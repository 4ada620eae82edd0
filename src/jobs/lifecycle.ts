// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The life of a job as data: statuses, phases and every transition there is.
 * The store applies transitions with compare-and-set; nothing else changes a job's state.
 */

/** The public contract. `complete` says only that cleanup is over: the {@link OUTCOMES} say how it went. */
export const STATUSES = ["queued", "provisioning", "succeeded", "failed", "complete"] as const;
export type Status = (typeof STATUSES)[number];

export const OUTCOMES = ["succeeded", "failed", "canceled"] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** How far the controller got with the BMC, in order. A job that is queued or complete has none. */
export const PHASES = [
  "media",
  "power-off",
  "insert",
  "boot-override",
  "power-on",
  "waiting",
  "running",
  "reported",
  "cleanup",
] as const;
export type Phase = (typeof PHASES)[number];

export interface State {
  readonly status: Status;
  readonly phase: Phase | null;
  readonly outcome: Outcome | null;
}

/** What happens to a job. `entered` moves to a later phase of the same status. */
export type Transition =
  | { readonly kind: "claimed" }
  | { readonly kind: "entered"; readonly phase: Phase }
  | { readonly kind: "reported-success" }
  | { readonly kind: "failed" }
  | { readonly kind: "canceled" }
  | { readonly kind: "cleaned-up" };

/** Phases in which the worker drives the BMC towards a booted task. */
const ACTIVE: readonly Phase[] = PHASES.slice(0, PHASES.indexOf("reported"));

/** The state that a job has when it is created. */
export const INITIAL: State = { status: "queued", phase: null, outcome: null };

/**
 * The state after a transition, or undefined when the state does not expect it.
 *
 * | status | claimed | entered | reported-success | failed | canceled | cleaned-up |
 * | --- | --- | --- | --- | --- | --- | --- |
 * | queued | provisioning/media | – | – | complete, failed | complete, canceled | – |
 * | provisioning | same (takeover) | a later active phase | succeeded/reported | failed/reported | failed/reported, canceled | – |
 * | succeeded, failed | same (takeover) | cleanup | – | – | – | complete |
 * | complete | – | – | – | – | – | – |
 */
export function nextState(from: State, transition: Transition): State | undefined {
  switch (from.status) {
    case "queued":
      return fromQueued(transition);
    case "provisioning":
      return fromProvisioning(from, transition);
    case "succeeded":
    case "failed":
      return fromReported(from, transition);
    case "complete":
      return undefined;
  }
}

function fromQueued(transition: Transition): State | undefined {
  switch (transition.kind) {
    case "claimed":
      return { status: "provisioning", phase: "media", outcome: null };
    // Nothing was done to the server, so there is nothing to clean up.
    case "failed":
      return { status: "complete", phase: null, outcome: "failed" };
    case "canceled":
      return { status: "complete", phase: null, outcome: "canceled" };
    default:
      return undefined;
  }
}

function fromProvisioning(from: State, transition: Transition): State | undefined {
  switch (transition.kind) {
    case "claimed":
      return from;
    case "entered":
      return isLater(transition.phase, from.phase) && ACTIVE.includes(transition.phase)
        ? { ...from, phase: transition.phase }
        : undefined;
    case "reported-success":
      return { status: "succeeded", phase: "reported", outcome: "succeeded" };
    case "failed":
      return { status: "failed", phase: "reported", outcome: "failed" };
    case "canceled":
      return { status: "failed", phase: "reported", outcome: "canceled" };
    default:
      return undefined;
  }
}

function fromReported(from: State, transition: Transition): State | undefined {
  switch (transition.kind) {
    case "claimed":
      return from;
    case "entered":
      return transition.phase === "cleanup" && from.phase === "reported"
        ? { ...from, phase: "cleanup" }
        : undefined;
    case "cleaned-up":
      return { ...from, status: "complete", phase: null };
    default:
      return undefined;
  }
}

function isLater(phase: Phase, than: Phase | null): boolean {
  return than === null || PHASES.indexOf(phase) > PHASES.indexOf(than);
}

/** A job that is not complete: its server takes no other one. */
export const isActive = (status: Status): boolean => status !== "complete";
