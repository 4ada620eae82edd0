// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The network configuration of a server while it runs the maintenance OS: part of the server's record
 * and of the job's envelope. Without one the maintenance OS uses DHCP and router advertisements.
 * `network-parse.ts` makes one from a document.
 */
import { isInside, isLinkLocal, parseIp, parsePrefix } from "./ip.ts";

export interface NetworkConfig {
  readonly interfaces: readonly NetworkInterface[];
  /** Addresses of name servers. */
  readonly dns?: readonly string[];
  readonly search?: readonly string[];
}

export type NetworkInterface = EthernetInterface | BondInterface | VlanInterface;

interface Addressing {
  /** Kernel name of the link that is made, or the one given to the matched NIC. */
  readonly name: string;
  readonly mtu?: number;
  /** Ask DHCP (v4 and v6) on this link. */
  readonly dhcp?: boolean;
  /** Addresses with prefix length: `192.0.2.10/24`, `2001:db8::10/64`. */
  readonly addresses?: readonly string[];
  readonly routes?: readonly Route[];
}

interface EthernetInterface extends Addressing {
  readonly type: "ethernet";
  /** Lower case with colons. NICs are only ever matched by MAC. */
  readonly mac: string;
}

interface BondInterface extends Addressing {
  readonly type: "bond";
  /** MACs of the member NICs. */
  readonly members: readonly string[];
  readonly mode: "802.3ad" | "active-backup" | "balance-xor";
}

export interface VlanInterface extends Addressing {
  readonly type: "vlan";
  readonly id: number;
  /** Name of another interface in the list. */
  readonly link: string;
}

export interface Route {
  /** `default` or a prefix. */
  readonly to: string;
  readonly via: string;
}

/** A file below `/run/systemd/network`. */
export interface NetworkdFile {
  readonly path: string;
  readonly text: string;
}

/**
 * The configuration as files for systemd-networkd (systemd.link(5), systemd.netdev(5),
 * systemd.network(5)). NICs are matched by their permanent MAC, because a bond gives its members its
 * own and names depend on the kernel. NICs that the configuration does not name stay unconfigured.
 */
export function renderNetworkd(config: NetworkConfig): NetworkdFile[] {
  return [
    ...config.interfaces.flatMap((interface_) => [
      ...renderDevice(interface_),
      file(`${interface_.name}.network`, [
        match(interface_),
        linkSection(interface_),
        networkSection(interface_, config),
        ...(interface_.routes ?? []).map((route) => routeSection(route, interface_)),
      ]),
    ]),
    OTHERS,
  ];
}

type Section = readonly [title: string, ...lines: readonly (string | false)[]];

function file(name: string, sections: readonly Section[]): NetworkdFile {
  const text = sections
    .map(([title, ...lines]) => `[${title}]\n${lines.filter(Boolean).join("\n")}\n`)
    .join("\n");
  return { path: `/run/systemd/network/10-prov-${name}`, text };
}

/**
 * Without it, the built-in DHCP configuration would go on asking on every other NIC. The tilde sorts
 * behind every interface name, and of several matching files networkd uses the first.
 */
const OTHERS = file("~others.network", [
  ["Match", "Type=ether", "Kind=!*"],
  ["Link", "RequiredForOnline=no"],
  ["Network", "DHCP=no", "LinkLocalAddressing=no", "IPv6AcceptRA=no"],
]);

function renderDevice(interface_: NetworkInterface): NetworkdFile[] {
  const { name } = interface_;
  switch (interface_.type) {
    case "ethernet":
      return [
        file(`${name}.link`, [
          ["Match", `PermanentMACAddress=${interface_.mac}`],
          ["Link", `Name=${name}`],
        ]),
      ];
    case "vlan":
      return [
        file(`${name}.netdev`, [
          ["NetDev", `Name=${name}`, "Kind=vlan"],
          ["VLAN", `Id=${interface_.id}`],
        ]),
      ];
    case "bond":
      return [
        file(`${name}.netdev`, bondSections(interface_)),
        ...interface_.members.map((mac) => memberFile(mac, name)),
      ];
  }
}

function bondSections(bond: BondInterface): Section[] {
  return [
    // The first member's MAC instead of a random one: DHCP reservations and switches know it.
    ["NetDev", `Name=${bond.name}`, "Kind=bond", `MACAddress=${bond.members[0]}`],
    [
      "Bond",
      `Mode=${bond.mode}`,
      // The kernel's default of 0 never notices a dead link.
      "MIIMonitorSec=100ms",
      bond.mode !== "active-backup" && "TransmitHashPolicy=layer3+4",
    ],
  ];
}

/** Named by the MAC: longer than an interface's name may be, so that it cannot be one. */
function memberFile(mac: string, bond: string): NetworkdFile {
  return file(`member-${mac.replaceAll(":", "")}.network`, [
    ["Match", `PermanentMACAddress=${mac}`],
    ["Link", "RequiredForOnline=no"],
    ["Network", `Bond=${bond}`, "LinkLocalAddressing=no", "IPv6AcceptRA=no"],
  ]);
}

function match(interface_: NetworkInterface): Section {
  return interface_.type === "ethernet"
    ? ["Match", `PermanentMACAddress=${interface_.mac}`]
    : ["Match", `Name=${interface_.name}`];
}

const isAddressed = (interface_: NetworkInterface): boolean =>
  interface_.dhcp === true || (interface_.addresses ?? []).length > 0;

function linkSection(interface_: NetworkInterface): Section {
  return [
    "Link",
    interface_.mtu !== undefined && `MTUBytes=${interface_.mtu}`,
    `RequiredForOnline=${isAddressed(interface_) ? "routable" : "no"}`,
  ];
}

function networkSection(interface_: NetworkInterface, config: NetworkConfig): Section {
  const dhcp = interface_.dhcp === true ? "yes" : "no";
  const addressed = isAddressed(interface_);
  return [
    "Network",
    `DHCP=${dhcp}`,
    `LinkLocalAddressing=${addressed ? "ipv6" : "no"}`,
    // DHCPv6 is started by a router's advertisement; a static site gets what is written and no more.
    `IPv6AcceptRA=${dhcp}`,
    ...(interface_.addresses ?? []).map((address) => `Address=${address}`),
    ...(addressed ? (config.dns ?? []).map((server) => `DNS=${server}`) : []),
    addressed && (config.search ?? []).length > 0 && `Domains=${config.search?.join(" ")}`,
    ...config.interfaces.flatMap((other) =>
      other.type === "vlan" && other.link === interface_.name ? [`VLAN=${other.name}`] : [],
    ),
  ];
}

function routeSection(route: Route, interface_: NetworkInterface): Section {
  const isV6 = route.via.includes(":");
  const destination = route.to === "default" ? (isV6 ? "::/0" : "0.0.0.0/0") : route.to;
  return [
    "Route",
    `Destination=${destination}`,
    `Gateway=${route.via}`,
    !isReachable(route.via, interface_) && "GatewayOnLink=yes",
  ];
}

/** False for the gateway outside of every prefix that hosts with a /32 or /128 have. */
function isReachable(via: string, interface_: NetworkInterface): boolean {
  const gateway = parseIp(via);
  if (gateway === undefined || isLinkLocal(gateway) || interface_.dhcp === true) return true;
  return (interface_.addresses ?? []).some((address) => {
    const prefix = parsePrefix(address);
    return prefix !== undefined && isInside(gateway, prefix);
  });
}
