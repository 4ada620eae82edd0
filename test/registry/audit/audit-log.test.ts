// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { appendFileSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import type {
  AuditEntry,
  AuditEvent,
  AuditQuery,
} from "../../../src/registry/audit/audit-event.ts";
import { type AuditLog, openAuditLog } from "../../../src/registry/audit/audit-log.ts";
import { temporaryDirectory } from "../../store/fresh-store.ts";

const event = (n: number, more: Partial<AuditEvent> = {}): AuditEvent => ({
  identity: "user:ann",
  address: "192.0.2.7",
  action: "push",
  outcome: "done",
  repository: `r/${n}`,
  ...more,
});

const at = (time: string) => () => Date.parse(time);

async function all(log: AuditLog, query: Omit<AuditQuery, "before">): Promise<AuditEntry[]> {
  const found: AuditEntry[] = [];
  let before: string | null | undefined;
  do {
    const page = await log.page({ ...query, ...(before != null && { before }) });
    found.push(...page.entries);
    before = page.cursor;
  } while (before !== null);
  return found;
}

test("R51 an event is one line in its month's file, which only its owner can read", async () => {
  using directory = temporaryDirectory();
  const log = await openAuditLog(directory.path, 12, at("2026-11-26T10:00:00Z"));
  await log.append(event(1));
  const path = join(directory.path, "audit/2026-11.jsonl");
  expect(readFileSync(path, "utf8")).toBe(
    '{"time":"2026-11-26T10:00:00.000Z","identity":"user:ann","address":"192.0.2.7","action":"push","outcome":"done","repository":"r/1"}\n',
  );
  expect((statSync(path).mode & 0o777).toString(8)).toBe("600");
  expect((statSync(join(directory.path, "audit")).mode & 0o777).toString(8)).toBe("700");
});

test("many at once are all there, in their order", async () => {
  using directory = temporaryDirectory();
  const log = await openAuditLog(directory.path, 12, Date.now);
  await Promise.all(Array.from({ length: 500 }, (_, i) => log.append(event(i))));
  const entries = await all(log, { limit: 70 });
  expect(entries.map(({ repository }) => repository)).toEqual(
    Array.from({ length: 500 }, (_, i) => `r/${499 - i}`),
  );
});

test("a line that a crash cut short hides neither what was before nor what comes after", async () => {
  using directory = temporaryDirectory();
  const now = at("2026-11-26T10:00:00Z");
  await (await openAuditLog(directory.path, 12, now)).append(event(1));
  appendFileSync(join(directory.path, "audit/2026-11.jsonl"), '{"time":"2026-');
  const log = await openAuditLog(directory.path, 12, now);
  await log.append(event(2));
  expect((await all(log, { limit: 10 })).map(({ repository }) => repository)).toEqual([
    "r/2",
    "r/1",
  ]);
});

test("months go when they are old enough, and not before", async () => {
  using directory = temporaryDirectory();
  for (const month of ["2025-12", "2026-09", "2026-10", "2026-11"]) {
    await (await openAuditLog(directory.path, 1, at(`${month}-15T00:00:00Z`))).append(event(1));
  }
  const log = await openAuditLog(directory.path, 2, at("2026-11-30T23:59:59Z"));
  await log.prune();
  expect(readdirSync(join(directory.path, "audit")).sort()).toEqual([
    "2026-10.jsonl",
    "2026-11.jsonl",
  ]);
  expect(await all(log, { limit: 1 })).toHaveLength(2);
});

test("a cursor that is not ours is refused", async () => {
  using directory = temporaryDirectory();
  const log = await openAuditLog(directory.path, 12, Date.now);
  await expect(log.page({ limit: 1, before: "../../etc" })).rejects.toThrow(SyntaxError);
});

test("pages of any size give each event once, newest first, of one repository or identity", async () => {
  const anyEvents = fc.array(
    fc.record({
      month: fc.integer({ min: 1, max: 3 }),
      repository: fc.constantFrom("a", "b"),
      identity: fc.constantFrom("user:ann", "robot:ci"),
      reason: fc.string({ maxLength: 200, unit: "binary" }),
    }),
    { maxLength: 15 },
  );
  await fc.assert(
    fc.asyncProperty(anyEvents, fc.integer({ min: 1, max: 9 }), async (events, limit) => {
      using directory = temporaryDirectory();
      let month = 1;
      const written: Promise<void>[] = [];
      const log = await openAuditLog(directory.path, 99, () => Date.UTC(2026, month));
      const sorted = events.toSorted((a, b) => a.month - b.month);
      for (const { month: of, ...rest } of sorted) {
        month = of;
        written.push(log.append(event(0, rest)));
      }
      await Promise.all(written);
      const reasons = (list: readonly { reason?: string }[]) => list.map(({ reason }) => reason);
      const newest = sorted.toReversed();
      expect(reasons(await all(log, { limit }))).toEqual(reasons(newest));
      expect(reasons(await all(log, { limit, repository: "a" }))).toEqual(
        reasons(newest.filter(({ repository }) => repository === "a")),
      );
      expect(reasons(await all(log, { limit, identity: "robot:ci" }))).toEqual(
        reasons(newest.filter(({ identity }) => identity === "robot:ci")),
      );
    }),
    { numRuns: 10 },
  );
}, 30_000);
