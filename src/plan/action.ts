// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * A plan: what a step does to a machine, as plain data. It can be printed, stored, compared and sent,
 * and whoever executes it decides nothing.
 *
 * Secrets stay outside: a plan names the file that holds one, never its contents.
 */
import type { Millis } from "../base/units.ts";

/** A program and its arguments. Never a shell string: nothing here is ever parsed by `sh`. */
export type Argv = readonly [program: string, ...args: string[]];

/** `why` is shown to operators: an imperative phrase without a full stop. Paths are absolute. */
export type Action =
  | {
      readonly kind: "run";
      readonly why: string;
      readonly argv: Argv;
      readonly timeoutMs: Millis;
      /**
       * Arguments below this directory are paths of the system that is mounted there: a symlink among their
       * components leads where it leads in that system, as after chroot(2).
       */
      readonly root?: string;
      /** Device paths whose contents are gone once this has run. */
      readonly destroys?: readonly string[];
    }
  | {
      /** Makes a directory and those above it, as far as they are missing. */
      readonly kind: "mkdir";
      readonly why: string;
      /** As in `run`; the directory itself, or one above it. */
      readonly root: string;
      readonly path: string;
    }
  | {
      /** Puts `text` into a file, atomically. Missing parent directories are made. */
      readonly kind: "write";
      readonly why: string;
      /** As in `run`, for `path`. */
      readonly root: string;
      readonly path: string;
      readonly text: string;
      /** POSIX permission bits, e.g. `0o600`. */
      readonly mode: number;
    }
  | {
      /** Copies one file, atomically: the way secrets travel. */
      readonly kind: "copy";
      readonly why: string;
      /** As in `run`, for `to`. */
      readonly root: string;
      readonly from: string;
      readonly to: string;
      readonly mode: number;
      /** `base64`: what `from` holds is base64 text of what `to` shall hold. */
      readonly decode: "none" | "base64";
    }
  | {
      /** Streams the job's artifact through its decompressor into tar. */
      readonly kind: "unpack";
      readonly why: string;
      /** `repository@sha256:…`, or with a tag when the digest is not known before. */
      readonly artifact: string;
      readonly into: string;
      /** `auto`: told by the first bytes, one of zstd, gzip, xz or none. */
      readonly compression: "auto";
      readonly timeoutMs: Millis;
    }
  | {
      /** Fails unless at least one of the patterns matches something below `root`. */
      readonly kind: "require";
      readonly why: string;
      readonly root: string;
      /** Globs relative to `root`. */
      readonly anyOf: readonly string[];
      /** What is wrong when nothing matches: "the image has no kernel". */
      readonly missing: string;
    };

export interface Plan {
  /** Name of the step: `partition`. */
  readonly step: string;
  /** In order. None at all: the machine already is as the recipe asks. */
  readonly actions: readonly Action[];
}
