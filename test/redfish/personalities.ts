// SPDX-License-Identifier: AGPL-3.0-or-later

/** How a fake BMC differs from a plain one: two slots under Systems, POST, 204, sessions, no ETags. */
export interface Personality {
  readonly name: string;
  readonly vendor: string;
  readonly managerModel?: string;
  readonly tree: "Systems" | "Managers" | "both";
  readonly slots: readonly FakeSlot[];
  /** Inserts and ejects answer 202 with a Task that takes some virtual seconds. */
  readonly tasks?: boolean;
  /** PATCH without a matching If-Match is 412; `weak`: handed out weak, compared strong. */
  readonly etags?: "required" | "weak" | "none";
  /** Fields an insert is refused without, one at a time, and fields it is refused with. */
  readonly requires?: readonly string[];
  readonly refuses?: readonly string[];
  /** A PATCH without these is accepted and attaches nothing. */
  readonly silentlyRequires?: readonly string[];
  readonly ejectNeedsObject?: boolean;
  /** Virtual ms until the slot shows the change. */
  readonly insertTakes?: number;
  readonly ejectTakes?: number;
  /** Image stays after an eject, with ConnectedVia NotConnected and Inserted still true. */
  readonly stale?: boolean;
  readonly bootTargets?: readonly string[];
  readonly bootMode?: string;
  /** Boot changes go to a settings resource; the system refuses them. */
  readonly settings?: boolean;
  /** Virtual ms after Off in which On is refused with 409. */
  readonly onRefusedFor?: number;
  readonly sessions?: "offered" | "refused" | "absent";
  readonly serialField?: "SerialNumber" | "SKU";
  /** Seen by the tests: what a whole provision must come out as. */
  readonly expect: { readonly delivery: string; readonly target: string; readonly body: object };
}

export interface FakeSlot {
  readonly id: string;
  readonly kinds: readonly string[];
  readonly by?: "action" | "patch" | "none";
}

const CD = ["CD", "DVD"];

export const PERSONALITIES: readonly Personality[] = [
  {
    name: "iDRAC9 6.x",
    vendor: "Dell",
    tree: "both",
    slots: [
      { id: "2", kinds: ["CD", "DVD", "USBStick"] },
      { id: "1", kinds: ["CD", "DVD", "USBStick"] },
    ],
    etags: "weak",
    serialField: "SKU",
    expect: { delivery: "dual", target: "Cd", body: {} },
  },
  {
    name: "iDRAC9 5.x",
    vendor: "Dell",
    tree: "Managers",
    slots: [
      { id: "CD", kinds: CD },
      { id: "RemovableDisk", kinds: ["USBStick"] },
    ],
    serialField: "SKU",
    expect: { delivery: "combined", target: "Cd", body: {} },
  },
  {
    name: "iDRAC10",
    vendor: "Dell",
    tree: "Systems",
    slots: [
      { id: "1", kinds: CD },
      { id: "2", kinds: CD },
    ],
    settings: true,
    onRefusedFor: 45_000,
    serialField: "SKU",
    expect: { delivery: "dual", target: "Cd", body: {} },
  },
  {
    name: "Supermicro",
    vendor: "Supermicro",
    tree: "Managers",
    slots: [
      { id: "VirtualMedia1", kinds: CD },
      { id: "VirtualMedia2", kinds: CD },
    ],
    tasks: true,
    stale: true,
    insertTakes: 8000,
    refuses: ["Inserted", "WriteProtected"],
    bootTargets: ["None", "Pxe", "Hdd", "Cd", "UsbCd"],
    bootMode: "Legacy",
    expect: { delivery: "combined", target: "UsbCd", body: {} },
  },
  {
    name: "Lenovo XCC",
    vendor: "Lenovo",
    tree: "Systems",
    slots: [
      { id: "RDOC1", kinds: CD, by: "patch" },
      { id: "EXT1", kinds: CD, by: "patch" },
      { id: "EXT2", kinds: CD, by: "patch" },
    ],
    etags: "required",
    silentlyRequires: ["Inserted"],
    expect: { delivery: "dual", target: "Cd", body: { Inserted: true, WriteProtected: true } },
  },
  {
    name: "HPE iLO5",
    vendor: "HPE",
    tree: "Managers",
    slots: [
      { id: "1", kinds: ["Floppy", "USBStick"] },
      { id: "2", kinds: CD },
    ],
    ejectNeedsObject: true,
    refuses: ["WriteProtected"],
    expect: { delivery: "usb", target: "Cd", body: {} },
  },
  {
    name: "OpenBMC",
    vendor: "OEM",
    managerModel: "OpenBmc",
    tree: "Managers",
    slots: [
      { id: "Proxy_0", kinds: CD, by: "none" },
      { id: "Slot_0", kinds: CD },
    ],
    requires: ["TransferMethod", "Inserted"],
    sessions: "offered",
    expect: {
      delivery: "combined",
      target: "Cd",
      body: { TransferMethod: "Stream", Inserted: true, WriteProtected: true },
    },
  },
  {
    name: "Fujitsu iRMC",
    vendor: "Fujitsu",
    tree: "Managers",
    slots: [
      { id: "0", kinds: CD },
      { id: "1", kinds: ["USBStick"] },
    ],
    requires: ["TransferProtocolType"],
    ejectTakes: 5000,
    expect: { delivery: "usb", target: "Cd", body: { TransferProtocolType: "HTTPS" } },
  },
  {
    name: "AMI MegaRAC",
    vendor: "American Megatrends",
    tree: "Managers",
    slots: [{ id: "CD1", kinds: CD }],
    etags: "required",
    requires: ["TransferProtocolType"],
    insertTakes: 20_000,
    expect: { delivery: "combined", target: "Cd", body: { TransferProtocolType: "HTTPS" } },
  },
  {
    name: "NVIDIA DGX",
    vendor: "NVIDIA",
    tree: "Managers",
    slots: [{ id: "USB1", kinds: CD }],
    requires: ["UserName"],
    sessions: "refused",
    expect: { delivery: "combined", target: "Cd", body: { UserName: "none", Password: "none" } },
  },
  {
    name: "sushy-tools",
    vendor: "Sushy Emulator",
    tree: "both",
    slots: [
      { id: "Cd", kinds: CD },
      { id: "Floppy", kinds: ["Floppy", "USBStick"] },
    ],
    sessions: "absent",
    expect: { delivery: "usb", target: "Cd", body: {} },
  },
];

export const personality = (name: string): Personality => {
  const found = PERSONALITIES.find((p) => p.name === name);
  if (found === undefined) throw new RangeError(`No personality ${name}`);
  return found;
};
