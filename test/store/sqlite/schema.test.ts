// SPDX-License-Identifier: AGPL-3.0-or-later
import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import {
  nextState,
  OUTCOMES,
  PHASES,
  STATUSES,
  type State,
  type Transition,
} from "../../../src/jobs/lifecycle.ts";
import { MIGRATIONS, migrate, versionOf } from "../../../src/store/sqlite/migrate.ts";

function fresh(): Database {
  const db = new Database(":memory:", { strict: true });
  db.run("pragma foreign_keys = on");
  migrate(db);
  return db;
}

const TRANSITIONS: Transition[] = [
  { kind: "claimed" },
  ...PHASES.map((phase): Transition => ({ kind: "entered", phase })),
  { kind: "reported-success" },
  { kind: "failed" },
  { kind: "canceled" },
  { kind: "cleaned-up" },
];

const EVERY_STATE: State[] = STATUSES.flatMap((status) =>
  [null, ...PHASES].flatMap((phase) =>
    [null, ...OUTCOMES].map((outcome): State => ({ status, phase, outcome })),
  ),
);

const textOf = ({ status, phase, outcome }: State) => `${status}/${phase}/${outcome}`;

/** States that transitions reach, each with the way there. */
function reachable(): Map<string, { readonly state: State; readonly way: readonly State[] }> {
  const queued: State = { status: "queued", phase: null, outcome: null };
  const found = new Map([[textOf(queued), { state: queued, way: [] as readonly State[] }]]);
  for (const { state, way } of found.values()) {
    for (const transition of TRANSITIONS) {
      const to = nextState(state, transition);
      if (to !== undefined && !found.has(textOf(to))) {
        found.set(textOf(to), { state: to, way: [...way, to] });
      }
    }
  }
  return found;
}

function insertJob(db: Database, id: string, serial: string): void {
  db.run(
    `insert into jobs (id, server_serial, task_target, token_hash, created_at, updated_at, phase_since)
     values ('${id}', '${serial}', 't', x'${Buffer.from(id).toString("hex")}', 1, 1, 1)`,
  );
}

function setState(db: Database, id: string, state: State): void {
  db.query(
    "update jobs set status = $status, phase = $phase, outcome = $outcome where id = $id",
  ).run({ ...state, id });
}

/** Whether a job that went all the way may then be set to a state. */
function accepts(db: Database, way: readonly State[], to: State): boolean {
  db.run("begin");
  insertJob(db, "j1", "SN1");
  for (const state of way) setState(db, "j1", state);
  try {
    setState(db, "j1", to);
    return true;
  } catch {
    return false;
  } finally {
    db.run("rollback");
  }
}

describe("the database itself", () => {
  test("allows exactly the changes of the transition table (R5)", () => {
    const db = fresh();
    const wrong: string[] = [];
    for (const { state: from, way } of reachable().values()) {
      const allowed = new Set(
        [from, ...TRANSITIONS.map((t) => nextState(from, t))].flatMap((s) =>
          s === undefined ? [] : [textOf(s)],
        ),
      );
      for (const to of EVERY_STATE) {
        if (accepts(db, way, to) !== allowed.has(textOf(to))) {
          wrong.push(`${textOf(from)} → ${textOf(to)}`);
        }
      }
    }
    expect(wrong).toEqual([]);
  });

  test("refuses a second job for a server until the first is complete (R3)", () => {
    const db = fresh();
    insertJob(db, "j1", "SN1");
    expect(() => insertJob(db, "j2", "SN1")).toThrow("UNIQUE constraint failed");
    setState(db, "j1", { status: "complete", phase: null, outcome: "canceled" });
    insertJob(db, "j2", "SN1");
  });

  test("knows the phases in their order", () => {
    const names = fresh().query("select name from phases order by position").values().flat();
    expect(names).toEqual([...PHASES]);
  });

  test("keeps history and active jobs", () => {
    const db = fresh();
    insertJob(db, "j1", "SN1");
    db.run("insert into job_events values ('j1', 1, 1, 'info', 'x', null)");
    expect(() => db.run("update job_events set message = 'y'")).toThrow("history does not change");
    expect(() => db.run("delete from jobs")).toThrow("a job that is not complete stays");
    const born = `insert into jobs (id, server_serial, task_target, status, outcome, token_hash,
                                    created_at, updated_at, phase_since)
                  values ('j3', 'SN3', 't', 'complete', 'failed', x'03', 1, 1, 1)`;
    expect(() => db.run(born)).toThrow("a job begins queued");
  });
});

describe("migrate()", () => {
  const schemaOf = (db: Database) =>
    db.query("select type, name, sql from sqlite_schema order by name").values();

  test.each(MIGRATIONS.map((_, version) => version))(
    "brings a database of version %p to the newest (R11)",
    (version) => {
      const db = new Database(":memory:");
      migrate(db, MIGRATIONS.slice(0, version));
      expect(versionOf(db)).toBe(version);
      migrate(db);
      expect(versionOf(db)).toBe(MIGRATIONS.length);
      expect(schemaOf(db)).toEqual(schemaOf(fresh()));
    },
  );

  test("applies only what is missing, and keeps rows", () => {
    const db = new Database(":memory:");
    migrate(db, ["create table t (a)"]);
    db.run("insert into t values (1)");
    migrate(db, ["create table t (a)", "alter table t add column b; update t set b = a + 1;"]);
    expect(db.query("select a, b from t").values()).toEqual([[1, 2]]);
  });

  test("takes everything back when one fails", () => {
    const db = new Database(":memory:");
    expect(() => migrate(db, ["create table t (a)", "create table t (a)"])).toThrow();
    expect(versionOf(db)).toBe(0);
    expect(schemaOf(db)).toEqual([]);
  });

  test("refuses a newer database and leaves it alone (R11)", () => {
    const db = new Database(":memory:");
    migrate(db, [...MIGRATIONS, "create table from_the_future (a)"]);
    expect(() => migrate(db)).toThrow(
      expect.objectContaining({
        code: "STORE_TOO_NEW",
        message: `Cannot use the database: it has version ${MIGRATIONS.length + 1}, and this prov knows ${MIGRATIONS.length}`,
      }),
    );
    expect(versionOf(db)).toBe(MIGRATIONS.length + 1);
  });
});
