// SPDX-License-Identifier: AGPL-3.0-or-later
import { Refusal, renderMessage } from "./refusal.ts";

export interface Task {
  readonly id: string;
  readonly name: string;
  state: "Running" | "Completed" | "Exception";
  refusal: Refusal | undefined;
}

export interface Tasks {
  /** Starts the work and answers at once. */
  run(name: string, work: () => Promise<void>): Task;
  find(id: string): Task | undefined;
  list(): readonly Task[];
}

export function createTasks(): Tasks {
  const tasks = new Map<string, Task>();
  return {
    find: (id) => tasks.get(id),
    list: () => [...tasks.values()],
    run: (name, work) => {
      const id = String(tasks.size + 1);
      const task: Task = { id, name, state: "Running", refusal: undefined };
      tasks.set(id, task);
      work().then(
        () => {
          task.state = "Completed";
        },
        (error: unknown) => {
          task.state = "Exception";
          task.refusal =
            error instanceof Refusal
              ? error
              : new Refusal(500, "Base.1.12.InternalError", String(error));
        },
      );
      return task;
    },
  };
}

/** The Task resource (DSP2046, Task 1.7). */
export function renderTask(task: Task): Record<string, unknown> {
  return {
    "@odata.id": `/redfish/v1/TaskService/Tasks/${task.id}`,
    "@odata.type": "#Task.v1_7_0.Task",
    Id: task.id,
    Name: task.name,
    TaskState: task.state,
    TaskStatus: task.state === "Exception" ? "Critical" : "OK",
    PercentComplete: task.state === "Running" ? 50 : 100,
    Messages: task.refusal === undefined ? [] : [renderMessage(task.refusal)],
  };
}
