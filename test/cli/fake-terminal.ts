// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Terminal } from "../../src/cli/terminal.ts";

/** A terminal that keeps what is written to it. */
export class FakeTerminal implements Terminal {
  readonly outLines: string[] = [];
  readonly errLines: string[] = [];
  readonly drawn: string[] = [];
  readonly columns = 80;
  readonly uid = 0;
  readonly isInteractive: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stop = new AbortController();
  readonly signal = this.stop.signal;
  readonly asked = this.stop.signal;
  readonly #stdin: string;

  constructor(
    options: {
      readonly env?: Readonly<Record<string, string | undefined>>;
      readonly stdin?: string;
      readonly isInteractive?: boolean;
    } = {},
  ) {
    // A home that is not there: nothing of whoever runs the tests gets in.
    this.env = { HOME: "/nonexistent", ...options.env };
    this.#stdin = options.stdin ?? "";
    this.isInteractive = options.isInteractive ?? false;
  }

  out(line: string): void {
    this.outLines.push(line);
  }
  err(line: string): void {
    this.errLines.push(line);
  }
  redraw(line: string): void {
    this.drawn.push(line);
  }
  stdin(): Promise<string> {
    return Promise.resolve(this.#stdin);
  }
}
