// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Finding } from "../base/findings.ts";
import { parseIp, parsePrefix } from "./ip.ts";
import type { NetworkConfig, NetworkInterface, Route, VlanInterface } from "./network.ts";

/** Ethernet's default, which the kernel gives to a link that nobody configured. */
const DEFAULT_MTU = 1500;

/** What a well-formed configuration can still get wrong: names, MACs and addresses across its parts. */
export function checkNetwork(config: NetworkConfig): Finding[] {
  return [
    ...repeated(config.interfaces.map((i, n) => [i.name, `/interfaces/${n}/name`])),
    ...repeated(config.interfaces.flatMap(macsOf)),
    ...repeated(config.interfaces.flatMap(addressesOf)),
    ...config.interfaces.flatMap((interface_, n) => [
      ...checkRoutes(interface_, `/interfaces/${n}`),
      ...(interface_.type === "vlan" ? checkVlan(interface_, n, config) : []),
    ]),
    ...repeatedVlans(config),
  ];
}

type Placed = readonly [value: string, path: string];

function macsOf(interface_: NetworkInterface, n: number): Placed[] {
  switch (interface_.type) {
    case "ethernet":
      return [[interface_.mac, `/interfaces/${n}/mac`]];
    case "bond":
      return interface_.members.map((mac, m) => [mac, `/interfaces/${n}/members/${m}`]);
    case "vlan":
      return [];
  }
}

function addressesOf(interface_: NetworkInterface, n: number): Placed[] {
  return (interface_.addresses ?? []).map((text, a) => {
    const { ip } = parsePrefix(text) ?? {};
    return [`${ip?.family}/${ip?.value}`, `/interfaces/${n}/addresses/${a}`];
  });
}

function repeated(values: readonly Placed[]): Finding[] {
  const first = new Map<string, string>();
  const findings: Finding[] = [];
  for (const [value, path] of values) {
    const earlier = first.get(value);
    if (earlier === undefined) first.set(value, path);
    else findings.push({ path, code: "duplicate", message: `is the same as ${earlier}` });
  }
  return findings;
}

function repeatedVlans(config: NetworkConfig): Finding[] {
  return repeated(
    config.interfaces.flatMap((interface_, n): Placed[] =>
      interface_.type === "vlan"
        ? [[`${interface_.link} ${interface_.id}`, `/interfaces/${n}/id`]]
        : [],
    ),
  );
}

function checkVlan(vlan: VlanInterface, n: number, config: NetworkConfig): Finding[] {
  const path = `/interfaces/${n}`;
  const link = config.interfaces.find((i) => i.name === vlan.link);
  if (link === undefined || link.type === "vlan") {
    const message = "must name an ethernet or bond interface of this configuration";
    return [{ path: `${path}/link`, code: "link", message }];
  }
  if ((vlan.mtu ?? DEFAULT_MTU) > (link.mtu ?? DEFAULT_MTU)) {
    const message = `must not be larger than that of ${link.name}`;
    return [{ path: `${path}/mtu`, code: "mtu", message }];
  }
  return [];
}

function checkRoutes(interface_: NetworkInterface, path: string): Finding[] {
  return (interface_.routes ?? []).flatMap((route, r) =>
    checkRoute(route, interface_, `${path}/routes/${r}`),
  );
}

function checkRoute(route: Route, interface_: NetworkInterface, path: string): Finding[] {
  const family = parseIp(route.via)?.family;
  if (route.to !== "default" && parsePrefix(route.to)?.ip.family !== family) {
    return [{ path: `${path}/via`, code: "family", message: 'must be of the same family as "to"' }];
  }
  const families = (interface_.addresses ?? []).map((a) => parsePrefix(a)?.ip.family);
  if (interface_.dhcp !== true && !families.includes(family)) {
    const message = `needs an IPv${family} address on ${interface_.name}`;
    return [{ path, code: "address", message }];
  }
  return [];
}
