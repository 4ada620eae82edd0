// SPDX-License-Identifier: AGPL-3.0-or-later
import manifest from "../../package.json" with { type: "json" };

export const VERSION: string = manifest.version;

/** Replaced by the build (`--define`); a run from the sources has none. */
declare const PROV_COMMIT: string | undefined;
export const COMMIT: string = typeof PROV_COMMIT === "string" ? PROV_COMMIT : "unknown";
