// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  INITIAL,
  isActive,
  nextState,
  PHASES,
  type State,
  type Transition,
} from "../../src/jobs/lifecycle.ts";
import { expectGolden } from "../helpers/golden.ts";

const TRANSITIONS: readonly Transition[] = [
  { kind: "claimed" },
  ...PHASES.map((phase): Transition => ({ kind: "entered", phase })),
  { kind: "reported-success" },
  { kind: "failed" },
  { kind: "canceled" },
  { kind: "cleaned-up" },
];

const stateText = ({ status, phase, outcome }: State): string =>
  [status, phase, outcome].filter((part) => part !== null).join(" ");
const transitionText = (t: Transition): string =>
  t.kind === "entered" ? `entered ${t.phase}` : t.kind;

/** Every state that transitions lead to, from the first one on. */
function reachableStates(): State[] {
  const found = new Map([[stateText(INITIAL), INITIAL]]);
  for (const state of found.values()) {
    for (const transition of TRANSITIONS) {
      const to = nextState(state, transition);
      if (to !== undefined) found.set(stateText(to), to);
    }
  }
  return [...found.values()];
}

const RANK = { queued: 0, provisioning: 1, succeeded: 2, failed: 2, complete: 3 } as const;

function isForward(from: State, to: State): boolean {
  const isSamePhaseOrLater =
    from.phase === null ||
    to.phase === null ||
    PHASES.indexOf(to.phase) >= PHASES.indexOf(from.phase);
  const isOutcomeKept = from.outcome === null || from.outcome === to.outcome;
  return RANK[to.status] >= RANK[from.status] && isSamePhaseOrLater && isOutcomeKept;
}

describe("nextState()", () => {
  test("is the whole table and no more (R5)", async () => {
    const lines = reachableStates().flatMap((from) => [
      `${stateText(from)}`,
      ...TRANSITIONS.flatMap((transition) => {
        const to = nextState(from, transition);
        return to === undefined ? [] : [`  ${transitionText(transition)} -> ${stateText(to)}`];
      }),
    ]);
    await expectGolden("jobs/transitions.txt", `${lines.join("\n")}\n`);
  });

  test("only ever moves forward, and keeps an outcome, whatever happens (R5)", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...TRANSITIONS)), (happening) => {
        let state = INITIAL;
        for (const transition of happening) {
          const to = nextState(state, transition);
          if (to === undefined) continue;
          expect(isForward(state, to)).toBe(true);
          expect(to.outcome === null).toBe(to.status === "queued" || to.status === "provisioning");
          state = to;
        }
      }),
    );
  });

  test("every job can still be complete, by cancel and cleanup alone (R6, R13)", () => {
    for (const from of reachableStates()) {
      const canceled = nextState(from, { kind: "canceled" }) ?? from;
      const cleaned = nextState(canceled, { kind: "cleaned-up" }) ?? canceled;
      expect(isActive(cleaned.status)).toBe(false);
    }
  });
});
