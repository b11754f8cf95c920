// Made by `npm run api` from the description of the API. Do not edit.

export type ActionItem = { id: string; /** A JSON Schema 2020-12. Keys that begin with x- are for forms; "$ref": "#/schemas/name" means an entry of schemas. */ input: Record<string, unknown>; /** What it is in the description that the connector was imported from; empty: it was written by hand. */ operation: string; /** A JSON Schema 2020-12. Keys that begin with x- are for forms; "$ref": "#/schemas/name" means an entry of schemas. */ output: Record<string, unknown>; /** It only reads, so it may be polled. */ safe: boolean; /** An example of its output. */ sample: unknown; show: "main" | "more" | "hidden"; summary: string; title: string }
export type AuthItem = { fields: string[]; id: string; secrets: string[]; title: string }
export type Bucket = { failed: number; runs: number }
export type Comparison = { left: unknown; op: string; result: boolean; right?: unknown; source: string }
export type Connection = { connector: string; name: string; /** Whether its fields and secrets are complete. Nobody was called to find out. */ ok: boolean; /** Why it is not. */ reason?: string }
export type ConnectorItem = { id: string; title: string }
export type ConnectorTrigger = { id: string; sample: unknown; title: string }
export type ConnectorView = { actions: ActionItem[]; /** The ways in which a connection may sign its calls; none: it needs no connection. */ auth: AuthItem[]; id: string; /** JSON Schemas: connection holds the plain fields of a connection, the others are named by actions. */ schemas: Record<string, Record<string, unknown>>; title: string; triggers: ConnectorTrigger[]; version: string }
export type DeliveryItem = { at: string; id: string; method: string; outcome: "accepted" | "duplicate" | "kept" | "dropped" | "refused" | "failed"; path: string; /** Why it was refused, kept or dropped. */ reason: string; remote: string; /** The run that it started; empty: none. */ run: string; /** Bytes of its body. */ size: number; /** HTTP status of the answer. */ status: number; trigger: string; workflow: string }
export type DeliveryView = { at: string; /** What expressions see as trigger. */ event?: Record<string, unknown>; id: string; method: string; outcome: "accepted" | "duplicate" | "kept" | "dropped" | "refused" | "failed"; path: string; /** Why it was refused, kept or dropped. */ reason: string; remote: string; /** The run that it started; empty: none. */ run: string; /** Bytes of its body. */ size: number; /** HTTP status of the answer. */ status: number; trigger: string; workflow: string }
export type ErrorDetail = { /** Where the error occurred, e.g. 'body.items[3].tags' or 'path.thing-id' */ location?: string; /** Error message text */ message?: string; /** The value at the given location */ value?: unknown }
export type Evaluate_expressionsRequest = { items: Evaluation[] }
export type Evaluated = { error?: EvaluationError; /** The data that it reads, such as trigger.body.total. */ refs: string[]; /** Of the value; empty when there is an error. */ type: "nothing" | "boolean" | "number" | "text" | "list" | "object" | ""; /** The result; null when there is an error. */ value: unknown }
export type EvaluatedList = { /** One for each item of the request, in its order. */ items: Evaluated[] }
export type Evaluation = { /** An expression, as in filter. */ expr?: string; /** The roots that it sees, such as {"trigger": {"body": {}}}. */ sample?: unknown; /** A text with ${{ }}, as in with. Exactly one of expr and template is given. */ template?: string }
export type EvaluationError = { column?: number; hint?: string; line?: number; message: string }
export type Failure = { /** What went wrong, and where. */ detail: string; /** What is wrong with the request, one by one. */ errors?: ErrorDetail[] | null; /** What to do about it. */ hint?: string; /** What is wrong with the workflow file, one by one. */ problems?: Problem[] | null; status: number; /** 412: the text that the file has now. */ text?: string; /** The name of the status. */ title: string; /** Always about:blank: status says what kind of problem it is. */ type: string; /** 412 and 428: the version that the file has now. */ version?: string }
export type Histogram = { buckets: Bucket[]; /** There are more: only the newest were counted. */ partial: boolean; /** Width of a bucket. */ seconds: number; /** Begin of the first bucket. */ since: string; total: number }
export type OutlineItem = { action?: string; connector?: string; /** How many steps it is inside of. */ depth?: number; /** What it does, such as the condition of a filter. */ detail?: string; id: string; /** filter, set, use, … */ kind: string; /** Its name, else the title of its action; empty: its kind says it. */ title?: string }
export type PageConnection = { items: Connection[]; /** Cursor of the next page; empty at the end. */ next: string }
export type PageConnectorItem = { items: ConnectorItem[]; /** Cursor of the next page; empty at the end. */ next: string }
export type PageDeliveryItem = { items: DeliveryItem[]; /** Cursor of the next page; empty at the end. */ next: string }
export type PageWorkflowItem = { items: WorkflowItem[]; /** Cursor of the next page; empty at the end. */ next: string }
export type PollState = { error?: string; failures: number; last_poll?: string; next_poll?: string; seen: number; started: number }
export type Problem = { column: number; file: string; hint?: string; line: number; message: string; snippet?: string; step?: string; warning?: boolean }
export type RerunRequest = { /** Takes the place of trigger.body. */ data?: unknown; /** start, failed, or the id of a step */ from?: string; /** The version that ran, or the current one. */ version?: "then" | "now" }
export type RunDetail = { /** Whether that version is the one that runs now. */ current: boolean; finished_at: string | null; id: string; parent?: string; /** The steps of the version that ran, in the order of its file. */ plan: OutlineItem[]; reason?: string; started_at: string; status: string; steps: StepView[] | null; summary?: string; /** Every attempt at a step that was tried more than once, in their order. */ tries: TryItem[]; trigger: unknown; triggers: TriggerItem[]; version: string; workflow: string; workflow_name: string }
export type RunItem = { finished_at: string | null; id: string; /** The run that this one repeats. */ parent?: string; /** Why it ended that way, as one word. */ reason?: string; /** When it was accepted. */ started_at: string; status: "queued" | "running" | "waiting" | "succeeded" | "filtered" | "failed" | "canceled"; /** One sentence for people. */ summary: string; /** The id of the trigger. */ trigger: string; version: string; workflow: string }
export type RunPage = { items: RunItem[]; /** Cursor of the next page; empty at the end. */ next: string; /** With q: the search stopped at its bound in time; next goes on. */ partial?: boolean; /** With q: how many runs were read for this page. */ scanned?: number }
export type ScheduleState = { last?: string; next: string[] | null }
export type Set_enabledRequest = { enabled: boolean }
export type Start_runRequest = { /** What expressions see as trigger.body. */ body?: unknown }
export type Started = { /** The run. */ id: string }
export type State = { kind: string; poll?: PollState; schedule?: ScheduleState; webhook?: WebhookState }
export type StepError = { attempts?: number; message: string; status?: number; step?: string }
export type StepView = { attempts: number; because?: Comparison[] | null; carried?: boolean; error?: StepError; id: string; input?: unknown; kind: string; ms: number; name?: string; output?: unknown; retry_at?: string; started_at: string; status: string; summary?: string }
export type TextSaved = { id: string; /** Warnings; the workflow runs in spite of them. */ problems: Problem[]; version: string }
export type TriggerItem = { id: string; kind: string; summary: string }
export type TryItem = { attempt: number; error?: string; ms: number; started_at: string; status: string; step: string }
export type WebhookState = { last?: string; methods: string[] | null; outcome?: string; reason?: string; url: string }
export type WorkflowItem = { /** Its steps by name, in the order of the file. */ chain: OutlineItem[]; description: string; /** Whether its triggers start runs: it is enabled in its file and nothing stands in the way (reason). */ enabled: boolean; /** The version of the file; another one than version while the file has errors. */ file_version: string; /** failing: the newest run failed; attention: reason or problems say why. */ health: "healthy" | "failing" | "attention" | "off"; id: string; last_run?: RunItem; name: string; /** What is wrong with the file. */ problems: Problem[]; /** What keeps an enabled workflow from running, or why an older version runs. */ reason?: string; /** Its runs in each of the last twelve hours, the oldest first. */ spark: Bucket[]; steps: number; tags: string[]; triggers: TriggerItem[]; /** The version that runs; empty: none does. */ version: string }

/** Every call: its parameters, the body that it takes and what it answers. */
export interface Calls {
  "GET /connections": {
    path: {  }
    query: { cursor?: string; limit?: number }
    body: undefined
    result: PageConnection
  }
  "GET /connectors": {
    path: {  }
    query: { cursor?: string; limit?: number }
    body: undefined
    result: PageConnectorItem
  }
  "GET /connectors/{id}": {
    path: { id: string }
    query: {  }
    body: undefined
    result: ConnectorView
  }
  "GET /deliveries": {
    path: {  }
    query: { cursor?: string; limit?: number; workflow?: string; outcome?: "accepted" | "duplicate" | "kept" | "dropped" | "refused" | "failed"; since?: string; until?: string }
    body: undefined
    result: PageDeliveryItem
  }
  "GET /deliveries/{id}": {
    path: { id: string }
    query: {  }
    body: undefined
    result: DeliveryView
  }
  "POST /deliveries/{id}/resend": {
    path: { id: string }
    query: {  }
    body: undefined
    result: Started
  }
  "GET /events": {
    path: {  }
    query: { topics?: string }
    body: undefined
    result: void
  }
  "POST /expressions/evaluate": {
    path: {  }
    query: {  }
    body: Evaluate_expressionsRequest
    result: EvaluatedList
  }
  "GET /runs": {
    path: {  }
    query: { cursor?: string; limit?: number; workflow?: string; status?: ("queued" | "running" | "waiting" | "succeeded" | "filtered" | "failed" | "canceled")[] | null; since?: string; until?: string; q?: string; skip?: number }
    body: undefined
    result: RunPage
  }
  "GET /runs/histogram": {
    path: {  }
    query: { workflow?: string; status?: ("queued" | "running" | "waiting" | "succeeded" | "filtered" | "failed" | "canceled")[] | null; since?: string; until?: string }
    body: undefined
    result: Histogram
  }
  "GET /runs/{id}": {
    path: { id: string }
    query: {  }
    body: undefined
    result: RunDetail
  }
  "POST /runs/{id}/cancel": {
    path: { id: string }
    query: {  }
    body: undefined
    result: Started
  }
  "POST /runs/{id}/rerun": {
    path: { id: string }
    query: {  }
    body: RerunRequest
    result: Started
  }
  "GET /workflows": {
    path: {  }
    query: { cursor?: string; limit?: number; q?: string; tag?: string; enabled?: "true" | "false" }
    body: undefined
    result: PageWorkflowItem
  }
  "GET /workflows/{id}": {
    path: { id: string }
    query: {  }
    body: undefined
    result: WorkflowItem
  }
  "PUT /workflows/{id}/enabled": {
    path: { id: string }
    query: {  }
    body: Set_enabledRequest
    result: WorkflowItem
  }
  "POST /workflows/{id}/runs": {
    path: { id: string }
    query: {  }
    body: Start_runRequest
    result: Started
  }
  "GET /workflows/{id}/text": {
    path: { id: string }
    query: {  }
    body: undefined
    result: { id: string; text: string; version: string }
  }
  "PUT /workflows/{id}/text": {
    path: { id: string }
    query: {  }
    body: { text: string }
    result: TextSaved
  }
  "GET /workflows/{id}/triggers/{trigger}": {
    path: { id: string; trigger: string }
    query: {  }
    body: undefined
    result: State
  }
  "GET /workflows/{id}/versions/{version}": {
    path: { id: string; version: string }
    query: {  }
    body: undefined
    result: { id: string; text: string; version: string }
  }
}
