// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * The servers that are compared. prov is the real binary with its real routes; its peers are Debian's
 * docker-registry and nginx with the smallest configuration that does the same work.
 */
import { join } from "node:path";
import { serveBinary } from "../../helpers/bench.ts";
import { anonymousRss, forgetPeakRss } from "./processes.ts";

export interface Server extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
  /** A file of curl's options with what a push needs to be let in. */
  readonly login: string | undefined;
  /** Answered like any other small request while something big goes on. */
  readonly pingUrl: string;
}

/** What argon2id takes for a login. */
const LOGIN_BYTES = 64 * 1024 ** 2;
/** A server whose memory changes by no more than this in a second is at rest. */
const REST_BYTES = 256 * 1024;

export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/**
 * A prov of its own in `directory`, at rest: logged in, and with the peak of its memory forgotten. A
 * login takes 64 MiB for 100 ms by design (argon2id), which is nothing that a transfer needs.
 */
export async function startProv(directory: string): Promise<Server> {
  const served = await serveBinary(join(directory, "prov"));
  const { PROV_USER, PROV_PASSWORD } = served.env;
  const login = join(directory, "login");
  // The password is told at the first start only.
  if (PROV_PASSWORD !== "") {
    const authorization = `Basic ${btoa(`${PROV_USER}:${PROV_PASSWORD}`)}`;
    await Bun.write(login, `header = "authorization: ${authorization}"\n`, { mode: 0o600 });
  }
  const authorization = /authorization: ([^"]+)/.exec(await Bun.file(login).text())?.[1] ?? "";
  const response = await fetch(`${served.url}/v2/`, { headers: { authorization } });
  if (!response.ok) throw new Error(`login: ${response.status}`);
  await untilAtRest(served.pid);
  return {
    url: served.url,
    pid: served.pid,
    login,
    pingUrl: `${served.url}/readyz`,
    [Symbol.asyncDispose]: () => served[Symbol.asyncDispose](),
  };
}

/**
 * Waits until a server has given back what its start and a login have taken, and forgets its peak: what
 * comes then is what the transfers take on top of a server at rest.
 */
export async function untilAtRest(pid: number): Promise<void> {
  for (let before = Number.POSITIVE_INFINITY; ; ) {
    const now = await anonymousRss(pid);
    if (now < LOGIN_BYTES && Math.abs(before - now) < REST_BYTES) break;
    before = now;
    await Bun.sleep(1000);
  }
  await forgetPeakRss(pid);
}

export async function startDockerRegistry(directory: string): Promise<Server> {
  const port = freePort();
  const config = join(directory, "docker-registry.yml");
  const yaml = {
    version: 0.1,
    log: { level: "error", accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(directory, "docker-registry") } },
    http: { addr: `127.0.0.1:${port}`, secret: "bench" },
  };
  // JSON is YAML.
  await Bun.write(config, JSON.stringify(yaml));
  const url = `http://127.0.0.1:${port}`;
  const child = Bun.spawn(["docker-registry", "serve", config], {
    stdout: "ignore",
    stderr: "ignore",
  });
  await untilReady(`${url}/v2/`, child);
  return { url, pid: child.pid, login: undefined, pingUrl: `${url}/v2/`, ...disposeOf(child) };
}

/**
 * One worker, because prov sends with one thread as well, and the second core is the client's.
 * @param root what is served, at `/`.
 */
export async function startNginx(directory: string, root: string, certificate: Certificate) {
  const port = freePort();
  const tlsPort = freePort();
  const config = join(directory, "nginx.conf");
  await Bun.write(config, nginxConfig(directory, root, { port, tlsPort, ...certificate }));
  const child = Bun.spawn(["nginx", "-p", directory, "-c", config], {
    stdout: "ignore",
    stderr: "ignore",
  });
  const url = `http://127.0.0.1:${port}`;
  await untilReady(`${url}/ready`, child);
  return { url, tlsUrl: `https://127.0.0.1:${tlsPort}`, ...disposeOf(child) };
}

function nginxConfig(
  directory: string,
  root: string,
  { port, tlsPort, cert, key }: Certificate & { port: number; tlsPort: number },
): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((kind) => `${kind}_temp_path ${directory}/nginx-${kind};`)
    .join("\n  ");
  return `daemon off;
user root;
worker_processes 1;
error_log ${directory}/nginx-error.log;
pid ${directory}/nginx.pid;
events { worker_connections 1024; }
http {
  ${temporary}
  access_log off;
  sendfile on;
  tcp_nopush on;
  default_type application/octet-stream;
  server {
    listen 127.0.0.1:${port};
    listen 127.0.0.1:${tlsPort} ssl;
    ssl_certificate ${cert};
    ssl_certificate_key ${key};
    ssl_protocols TLSv1.2 TLSv1.3;
    root ${root};
    location = /ready { return 200; }
  }
}
`;
}

/** Free a moment ago, which is as good as it gets for a server that cannot say what it was given. */
function freePort(): number {
  const probe = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port } = probe;
  probe.stop(true);
  return port;
}

async function untilReady(url: string, child: Bun.Subprocess): Promise<void> {
  while (child.exitCode === null) {
    if ((await fetch(url).catch(() => undefined))?.ok) return;
    await Bun.sleep(20);
  }
  throw new Error(`no server for ${url}: it exited with ${child.exitCode}`);
}

function disposeOf(child: Bun.Subprocess): AsyncDisposable {
  return {
    [Symbol.asyncDispose]: async () => {
      child.kill();
      await child.exited;
    },
  };
}

export async function makeCertificate(directory: string): Promise<Certificate> {
  const certificate = { cert: join(directory, "cert.pem"), key: join(directory, "key.pem") };
  const child = Bun.spawn(
    [
      ...["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
      ...["-nodes", "-days", "2", "-subj", "/CN=bench", "-addext", "subjectAltName=IP:127.0.0.1"],
      ...["-keyout", certificate.key, "-out", certificate.cert],
    ],
    { stdout: "ignore", stderr: "ignore" },
  );
  if ((await child.exited) !== 0) throw new Error("openssl req failed");
  return certificate;
}
