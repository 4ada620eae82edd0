// SPDX-License-Identifier: AGPL-3.0-or-later
import manifest from "../../package.json" with { type: "json" };

export const VERSION: string = manifest.version;
