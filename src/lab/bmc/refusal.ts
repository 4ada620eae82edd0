// SPDX-License-Identifier: AGPL-3.0-or-later
import type { ContentfulStatusCode } from "hono/utils/http-status";

/** A request the BMC does not carry out: what becomes a Redfish error body (DSP0266 §8.6). */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly status: ContentfulStatusCode;
  /** Registry and key: `Base.1.12.PropertyUnknown`. */
  readonly messageId: string;
  readonly args: readonly string[];

  constructor(
    status: ContentfulStatusCode,
    messageId: string,
    message: string,
    args: readonly string[] = [],
  ) {
    super(message);
    this.status = status;
    this.messageId = messageId;
    this.args = args;
  }
}

/** As BMCs write it: a general message outside, the one that helps in `@Message.ExtendedInfo`. */
export function renderRefusal(refusal: Refusal): unknown {
  return {
    error: {
      code: "Base.1.12.GeneralError",
      message: "A general error has occurred. See ExtendedInfo for more information.",
      "@Message.ExtendedInfo": [renderMessage(refusal)],
    },
  };
}

export function renderMessage(refusal: Refusal): unknown {
  return {
    "@odata.type": "#Message.v1_1_2.Message",
    MessageId: refusal.messageId,
    Message: refusal.message,
    MessageArgs: refusal.args,
    MessageSeverity: refusal.status >= 500 ? "Critical" : "Warning",
    Resolution: "None.",
  };
}

export function notFound(path: string): Refusal {
  const message = `The requested resource of type Resource named '${path}' was not found.`;
  return new Refusal(404, "Base.1.12.ResourceMissingAtURI", message, [path]);
}

export function propertyUnknown(name: string): Refusal {
  const message = `The property ${name} is not in the list of valid properties for the resource.`;
  return new Refusal(400, "Base.1.12.PropertyUnknown", message, [name]);
}

export function propertyNotInList(name: string, value: unknown): Refusal {
  const message = `The value '${String(value)}' for the property ${name} is not in the list of acceptable values.`;
  return new Refusal(400, "Base.1.12.PropertyValueNotInList", message, [String(value), name]);
}

export function parameterUnknown(action: string, name: string): Refusal {
  const message = `The action ${action} was submitted with the invalid parameter ${name}.`;
  return new Refusal(400, "Base.1.12.ActionParameterUnknown", message, [action, name]);
}

export function parameterMissing(action: string, name: string): Refusal {
  const message = `The action ${action} requires the parameter ${name} to be present in the request body.`;
  return new Refusal(400, "Base.1.12.ActionParameterMissing", message, [action, name]);
}

export function parameterNotInList(action: string, name: string, value: unknown): Refusal {
  const message = `The value '${String(value)}' for the parameter ${name} in the action ${action} is not in the list of acceptable values.`;
  const args = [String(value), name, action];
  return new Refusal(400, "Base.1.12.ActionParameterValueNotInList", message, args);
}
