// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Log } from "../base/deps.ts";
import { describeError, ProvError } from "../base/errors.ts";
import { stringAt } from "../base/json.ts";
import { seconds } from "../base/units.ts";
import { type Answer, describeAnswer, isOk } from "./answer.ts";
import { type Exchange, pathOf } from "./exchange.ts";

/** The one path a Redfish client may know (DSP0266, "Resource path"). */
export const SERVICE_ROOT = "/redfish/v1/";

/** A goodbye is not worth more: sessions also expire by themselves. */
const CLOSE_TIMEOUT = seconds(10);

export interface Credentials {
  readonly url: string;
  readonly username: string;
  readonly password: string;
}

type Headers = Readonly<Record<string, string>>;

/**
 * How requests prove who they are: one Redfish session, opened at first need and used for all requests
 * (BMCs have as few as eight), or Basic where the BMC has no session to give.
 *
 * A password that was refused once is not tried again: BMCs lock accounts.
 */
export class Session {
  readonly #credentials: Credentials;
  readonly #exchange: Exchange;
  readonly #log: Log;
  #headers: Promise<Headers> | undefined;
  /** What `#headers` resolved to, so that several requests refused together renew it once. */
  #current: Headers | undefined;
  #path: string | undefined;
  #refused: ProvError | undefined;

  constructor(credentials: Credentials, exchange: Exchange, log: Log) {
    this.#credentials = credentials;
    this.#exchange = exchange;
    this.#log = log;
  }

  /**
   * Headers to send with a request.
   *
   * @throws {ProvError} `BMC_UNAUTHORIZED`, `BMC_UNREACHABLE`
   */
  async headers(signal: AbortSignal): Promise<Headers> {
    if (this.#refused !== undefined) throw this.#refused;
    this.#headers ??= this.#open(signal);
    try {
      this.#current = await this.#headers;
      return this.#current;
    } catch (error) {
      this.#headers = undefined;
      throw error;
    }
  }

  /**
   * Headers to use after a 401 to a request with `rejected` ones: those of a new session, or of the one that
   * another request has opened since.
   *
   * @throws {ProvError} `BMC_UNAUTHORIZED` when there is nothing better to try.
   */
  async renew(rejected: Headers, signal: AbortSignal): Promise<Headers> {
    if ("authorization" in rejected) throw this.reject();
    if (this.#current === rejected) {
      this.#current = undefined;
      this.#headers = undefined;
      this.#path = undefined;
    }
    return await this.headers(signal);
  }

  /** Remembers that the BMC refuses these credentials; returns what to throw. */
  reject(answer?: Answer): ProvError {
    const { url, username } = this.#credentials;
    this.#refused ??= new ProvError(
      `Cannot log in to the BMC at ${url}: it refuses user "${username}"`,
      {
        code: "BMC_UNAUTHORIZED",
        ...(answer && { cause: describeAnswer(answer, [this.#credentials.password]) }),
        hint: "Correct the server's BMC user name and password; check that the account is not locked.",
      },
    );
    return this.#refused;
  }

  /** Deletes the session on the BMC. A later request opens a new one. */
  async close(): Promise<void> {
    const [headers, path] = [await this.#headers, this.#path];
    this.#headers = undefined;
    this.#path = undefined;
    if (headers === undefined || path === undefined) return;
    try {
      // With its own signal: a canceled job must not leave its session behind.
      await this.#exchange({ method: "DELETE", path, headers }, AbortSignal.timeout(CLOSE_TIMEOUT));
    } catch (error) {
      // The work is done and the session will expire, so the caller has nothing to decide.
      this.#log.warn({ bmc: this.#credentials.url, error: describeError(error) }, "session left");
    }
  }

  async #open(signal: AbortSignal): Promise<Headers> {
    const { username, password } = this.#credentials;
    const root = await this.#exchange({ method: "GET", path: SERVICE_ROOT }, signal);
    if (root.status >= 500) throw this.#notReady(root);
    const sessions = stringAt(root.body, "Links", "Sessions", "@odata.id");
    if (sessions === undefined) return this.#basic("not offered");
    const answer = await this.#exchange(
      {
        method: "POST",
        path: pathOf(sessions),
        body: { UserName: username, Password: password },
      },
      signal,
    );
    if (answer.status === 401) throw this.reject(answer);
    const token = answer.headers.get("x-auth-token");
    if (!isOk(answer) || token === null) return this.#basic(`HTTP ${answer.status}`);
    const link = answer.headers.get("location") ?? stringAt(answer.body, "@odata.id");
    this.#path = link === undefined ? undefined : pathOf(link);
    return { "x-auth-token": token };
  }

  #notReady(root: Answer): ProvError {
    return new ProvError(`Cannot log in to the BMC at ${this.#credentials.url}: it is not ready`, {
      code: "BMC_UNREACHABLE",
      cause: describeAnswer(root),
    });
  }

  #basic(reason: string): Headers {
    const { url, username, password } = this.#credentials;
    this.#log.debug({ bmc: url, reason }, "no session: using Basic authentication");
    const encoded = Buffer.from(`${username}:${password}`, "utf8").toString("base64");
    return { authorization: `Basic ${encoded}` };
  }
}
