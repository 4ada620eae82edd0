// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Database } from "bun:sqlite";
import { ProvError } from "../../base/errors.ts";
import { renderFindings } from "../../base/findings.ts";
import { type BmcTls, DELIVERIES, type Server } from "../../jobs/job.ts";
import type { NetworkConfig } from "../../jobs/network.ts";
import { parseNetworkConfig } from "../../jobs/network-parse.ts";
import type { Sealer } from "../seal.ts";
import type { ServerStore } from "../store.ts";
import type { Connection } from "./connection.ts";
import { memberOf } from "./job-row.ts";

interface ServerRow {
  readonly serial: string;
  readonly bmc_url: string;
  readonly bmc_username: string;
  readonly bmc_password_sealed: Uint8Array;
  readonly bmc_tls_mode: string;
  readonly bmc_tls_fingerprint: string | null;
  readonly delivery: string | null;
  readonly network: string | null;
  readonly capabilities: string | null;
  readonly created_at: number;
  readonly updated_at: number;
}

const TLS_MODES: readonly BmcTls["mode"][] = ["verify", "pinned", "insecure"];

const passwordPlace = (serial: string): string => `servers.bmc_password/${serial}`;

export class SqliteServerStore implements ServerStore {
  readonly #connection: Connection;
  readonly #sealer: Sealer;

  constructor(connection: Connection, sealer: Sealer) {
    this.#connection = connection;
    this.#sealer = sealer;
  }

  put(
    server: Omit<Server, "createdAt" | "updatedAt" | "capabilities">,
    now: number,
  ): Promise<"created" | "updated"> {
    return this.#connection.write(() => {
      const { serial, bmc } = server;
      const { db } = this.#connection;
      const known = db
        .query<{ bmc_url: string }, { serial: string }>(
          "select bmc_url from servers where serial = $serial",
        )
        .get({ serial });
      // The job's media are in the old BMC, and at the new address may be another server.
      if (known !== null && known.bmc_url !== bmc.url) {
        requireIdle(db, serial, `Cannot give server "${serial}" another BMC`);
      }
      db.query(
        `insert into servers (serial, bmc_url, bmc_username, bmc_password_sealed, bmc_tls_mode,
                              bmc_tls_fingerprint, delivery, network, created_at, updated_at)
         values ($serial, $url, $username, $password, $tlsMode,
                 $fingerprint, $delivery, $network, $now, $now)
         on conflict (serial) do update
            set capabilities = case when bmc_url = excluded.bmc_url then capabilities end,
                bmc_url = excluded.bmc_url,
                bmc_username = excluded.bmc_username,
                bmc_password_sealed = excluded.bmc_password_sealed,
                bmc_tls_mode = excluded.bmc_tls_mode,
                bmc_tls_fingerprint = excluded.bmc_tls_fingerprint,
                delivery = excluded.delivery,
                network = excluded.network,
                updated_at = excluded.updated_at`,
      ).run({
        serial,
        url: bmc.url,
        username: bmc.username,
        password: this.#sealer.seal(passwordPlace(serial), bmc.password),
        tlsMode: bmc.tls.mode,
        fingerprint: bmc.tls.mode === "pinned" ? bmc.tls.fingerprint : null,
        delivery: server.delivery,
        network: server.network === null ? null : JSON.stringify(server.network),
        now,
      });
      return known === null ? "created" : "updated";
    });
  }

  get(serial: string): Promise<Server | undefined> {
    return this.#connection.read(() => {
      const row = this.#connection.db
        .query<ServerRow, { serial: string }>("select * from servers where serial = $serial")
        .get({ serial });
      return row === null ? undefined : this.#fromRow(row);
    });
  }

  list(): Promise<readonly Server[]> {
    return this.#connection.read(() =>
      this.#connection.db
        .query<ServerRow, []>("select * from servers order by serial")
        .all()
        .map((row) => this.#fromRow(row)),
    );
  }

  remove(serial: string): Promise<boolean> {
    return this.#connection.write(() => {
      const { db } = this.#connection;
      requireIdle(db, serial, `Cannot remove server "${serial}"`);
      return db.query("delete from servers where serial = $serial").run({ serial }).changes === 1;
    });
  }

  setCapabilities(serial: string, capabilities: unknown, now: number): Promise<void> {
    return this.#connection.write(() => {
      this.#connection.db
        .query("update servers set capabilities = $text, updated_at = $now where serial = $serial")
        .run({ serial, text: JSON.stringify(capabilities ?? null), now });
    });
  }

  #fromRow(row: ServerRow): Server {
    return {
      serial: row.serial,
      bmc: {
        url: row.bmc_url,
        username: row.bmc_username,
        password: this.#sealer.unseal(passwordPlace(row.serial), row.bmc_password_sealed),
        tls: tlsFromRow(row),
      },
      delivery: row.delivery === null ? null : memberOf(DELIVERIES, row.delivery),
      network: row.network === null ? null : networkFromText(row.network),
      capabilities: row.capabilities === null ? null : JSON.parse(row.capabilities),
      createdAt: row.created_at,
      updatedAt: row.updated_at,
    };
  }
}

/** @throws {ProvError} `CONFLICT` */
function requireIdle(db: Database, serial: string, trying: string): void {
  const active = db
    .query<{ id: string }, { serial: string }>(
      "select id from jobs where server_serial = $serial and status <> 'complete'",
    )
    .get({ serial });
  if (active === null) return;
  throw new ProvError(`${trying}: job ${active.id} is not complete`, {
    code: "CONFLICT",
    hint: `Cancel the job with \`prov job cancel ${active.id}\` and wait until it is complete.`,
  });
}

function tlsFromRow(row: ServerRow): BmcTls {
  const mode = memberOf(TLS_MODES, row.bmc_tls_mode);
  return mode === "pinned" ? { mode, fingerprint: row.bmc_tls_fingerprint ?? "" } : { mode };
}

function networkFromText(text: string): NetworkConfig {
  const { config, findings } = parseNetworkConfig(JSON.parse(text));
  if (config === undefined) throw new TypeError(renderFindings(findings));
  return config;
}
