// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { createProgress, renderProgress } from "../../src/cli/progress.ts";
import { FakeTerminal } from "./fake-terminal.ts";

const MIB = 1024 * 1024;

test.each([
  {
    what: "speed and time left are those of the last seconds",
    state: {
      done: 300 * MIB,
      total: 1000 * MIB,
      samples: [
        { time: 1000, done: 100 * MIB },
        { time: 5000, done: 300 * MIB },
      ],
    },
    line: "sending  [#########---------------------]  30%  300 MiB of 1000 MiB  50 MiB/s  14 s left",
  },
  {
    what: "at first there is no speed",
    state: { done: 0, total: 1000 * MIB, samples: [{ time: 0, done: 0 }] },
    line: "sending  [------------------------------]   0%  0 B of 1000 MiB",
  },
  {
    what: "at the end there is no time left",
    state: {
      done: MIB,
      total: MIB,
      samples: [
        { time: 0, done: 0 },
        { time: 1000, done: MIB },
      ],
    },
    line: "sending  [##############################] 100%  1 MiB of 1 MiB  1 MiB/s",
  },
  {
    what: "nothing of nothing",
    state: { done: 0, total: 0, samples: [{ time: 0, done: 0 }] },
    line: "sending  [##############################] 100%  0 B of 0 B",
  },
])("$what", ({ state, line }) => {
  expect(renderProgress({ what: "sending", ...state }, 120)).toBe(line);
  expect(renderProgress({ what: "sending", ...state }, 20)).toBe(
    line.replace(/\[.{30}\]/, "[]").slice(0, 19),
  );
});

test("on a terminal of 80 columns the bar is what is short", () => {
  const samples = [
    { time: 0, done: 0 },
    { time: 5000, done: 2000 * MIB },
  ];
  const state = { what: "receiving root.tar.zst", done: 2000 * MIB, total: 12_000 * MIB, samples };
  expect(renderProgress(state, 80)).toBe(
    "receiving root.tar.zst  [#----]  16%  2.0 GiB of 11.7 GiB  400 MiB/s  25 s left",
  );
});

describe("on a terminal", () => {
  function progressOn(isInteractive: boolean) {
    const terminal = new FakeTerminal({ isInteractive });
    let time = 0;
    const sleep = () => Promise.resolve();
    const show = createProgress({ terminal, fetch, sleep, now: () => time, exitCode: 0 });
    return {
      terminal,
      show(at: number, what: string, done: number) {
        time = at;
        show(what, done, 1000 * MIB);
      },
    };
  }

  test("it is drawn ten times a second, and at the end", () => {
    const { terminal, show } = progressOn(true);
    for (let at = 1000; at <= 2000; at += 10) show(at, "sending", at * 1000);
    show(2001, "sending", 1000 * MIB);
    expect(terminal.drawn).toHaveLength(12);
    expect(terminal.drawn.at(-1)).toContain("100%");
  });

  test("a resume that goes back starts the speed again", () => {
    const { terminal, show } = progressOn(true);
    show(1000, "sending", 0);
    show(2000, "sending", 500 * MIB);
    expect(terminal.drawn.at(-1)).toContain("500 MiB/s");
    show(3000, "sending", 400 * MIB);
    expect(terminal.drawn.at(-1)).not.toContain("/s");
    show(4000, "sending", 410 * MIB);
    expect(terminal.drawn.at(-1)).toContain("10 MiB/s");
  });

  test("nothing is drawn where nobody looks", () => {
    const { terminal, show } = progressOn(false);
    show(1000, "sending", 1);
    expect(terminal.drawn).toEqual([]);
  });
});
