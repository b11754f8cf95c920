// Made by `npm run api` from the description of the API. Do not edit.

export type ActionItem = { /** Whether a call only reads depends on its input, as on the method of an HTTP request. */ by_input: boolean; /** The action to use instead. */ deprecated?: string; id: string; /** Doing it twice with one key does no harm. */ idempotent: boolean; /** A JSON Schema 2020-12. Keys that begin with x- are for forms; "$ref": "#/schemas/name" means an entry of schemas. */ input: Record<string, unknown>; /** What it is in the description that the connector was imported from; empty: it was written by hand. */ operation: string; /** A JSON Schema 2020-12. Keys that begin with x- are for forms; "$ref": "#/schemas/name" means an entry of schemas. */ output: Record<string, unknown>; /** It only reads, so it may be polled; with by_input: it may. */ safe: boolean; /** An example of its output. */ sample: unknown; show: "main" | "more" | "hidden"; summary: string; title: string }
export type Add_sampleRequest = { delivery?: string; /** What was sent: the body of a webhook, the item of a poll. */ json?: unknown; /** Exactly one of json, run and delivery is given. */ run?: string; title?: string; /** json: the trigger that it comes from; the first if left out. */ trigger?: string }
export type Adopted = { id: string }
export type Alerts = { connection?: string; /** The action; empty in a change: nobody is told. */ use: string; /** Its inputs. Its subject and its text are filled in when they are left out. */ with?: Record<string, unknown> }
export type Answer_approvalRequest = { approve: boolean; /** Who answers; default: admin. */ by?: string; comment?: string }
export type ApprovalItem = { asked_at: string; message: string; run: string; /** Its path; in a loop with its round. */ step: string; /** An answer after that comes too late. */ until: string; /** Its name. */ workflow: string }
export type AuthItem = { fields: string[]; help?: string; id: string; /** Of OAuth2: what is asked for. */ scopes?: ScopesItem; secrets: SecretItem[]; /** A person has to sign in at the system: POST /api/v1/oauth. */ sign_in: boolean; title: string; type: string }
export type Bucket = { failed: number; runs: number }
export type Bulk = { begun_at: string; done: boolean; /** Why the first of them could not. */ error?: string; failed: number; id: string; rate: number; started: number; total: number }
export type BulkCheck = { /** So many of them, the newest, were looked at for what would be done a second time. */ looked: number; repeats: BulkRepeat[]; /** Runs that would be started again. */ total: number }
export type BulkRepeat = { /** Of those that were looked at. */ runs: number; /** Its id. */ step: string; /** The action, or the workflow that it calls. */ use: string; workflow: string }
export type BulkStarted = { begun_at: string; /** With check, and then there is no id. */ check?: BulkCheck; done: boolean; /** Why the first of them could not. */ error?: string; failed: number; id: string; rate: number; started: number; total: number }
export type Card = { action: string; connection: string; /** Of a step with use. */ connector: string; /** From 1 in the order of the file; 0: a trigger. */ number: number; /** Errors inside it, warnings not counted. */ problems: number; /** not_set_up: something that it needs is missing; connection: it names none, or one that is not there. */ state: "ok" | "not_set_up" | "connection" | "problem" | "skipped"; /** One line, such as the condition in words. */ summary: string; /** What came of it when it was tried last. */ test?: Test; /** Its name, else what it does in words. */ title: string }
export type Change = { /** What kind of change it is, for translation. */ code: string; /** What the sentence is made of. */ params: Record<string, unknown>; /** Where: in the new text, or in the old one for what was deleted. */ path: string; /** The sentence in English. */ text: string }
export type Choice = { label: string; value: unknown }
export type Compare_draftRequest = { text: string }
export type Comparison = { left: unknown; op: string; result: boolean; right?: unknown; source: string }
export type Complete_draftRequest = { /** Where the caret is, as an offset in characters of text. */ at: number; sample?: string; /** The step (run_id) that it stands in. */ step?: string; /** The expression as it is, without ${{ }}. */ text: string }
export type Completion = { /** The value of a field in the event, or what a function does. */ detail: string; /** What stands there then, in the place of from to at. */ insert: string; kind: "field" | "function" | "word"; label: string; /** Of a field. */ type: string }
export type CompletionList = { /** Where the word begins that is completed, as an offset in characters of text. */ from: number; items: Completion[] }
export type ConnectionItem = { auth: string; calls_today: number; /** A person signs in to it: POST /api/v1/oauth. */ can_sign_in: boolean; can_test: boolean; /** When it was tested last. */ checked_at?: string; connector: string; /** Its tests of the last 30 days, oldest first. */ days?: Day[] | null; /** bellhop.yaml has it. What it sets there can only be changed there. */ declared: boolean; /** Something of it was entered here. */ entered: boolean; /** When it stops to work unless somebody signs in again. */ expires_at?: string; fields: Record<string, unknown>; /** Where its secrets may go; empty: as the connector says. */ hosts: string[]; /** Whose account it is, from the last test that worked. */ label?: string; name: string; /** Whether its fields and secrets are complete and nobody has to sign in. Nobody was called to find out. */ ok: boolean; /** Why it is not working. */ reason?: string; /** Calls that the other side answered 401 or 403. */ refused_today: number; scopes?: string[] | null; secrets: ConnectionSecret[]; /** When its state became what it is. */ since?: string; state: "incomplete" | "sign_in" | "failing" | "untested" | "working"; /** The workflows that depend on it. */ used_by: string[] }
export type ConnectionSecret = { at?: string; by?: string; /** Where it comes from, when it is not entered here. */ from?: string; help?: string; multiline?: boolean; name: string; optional?: boolean; set: boolean; title: string }
export type ConnectionValues = { /** Its fields and secrets by the keys that they would have in bellhop.yaml. null takes one away; what is not named stays. A secret is never shown again. */ values?: Record<string, unknown> }
export type ConnectorItem = { /** It needs a connection. */ account: boolean; /** How many actions a person may choose from. */ actions: number; /** Its actions by name, without their forms. */ does: NamedItem[]; /** Where its drawing is; empty: draw the first letter of the title. */ icon?: string; id: string; /** It is one of the folder's own, from connectors/. */ own: boolean; /** Its triggers by name. */ starts: NamedItem[]; title: string; triggers: number; version: string }
export type ConnectorTriggerItem = { deprecated?: string; endpoint?: string; /** Of a poll: how often it asks, unless the workflow says otherwise. */ every?: string; id: string; /** A JSON Schema 2020-12. Keys that begin with x- are for forms; "$ref": "#/schemas/name" means an entry of schemas. */ input: Record<string, unknown>; kind: "webhook" | "poll" | "stream"; /** A JSON Schema 2020-12. Keys that begin with x- are for forms; "$ref": "#/schemas/name" means an entry of schemas. */ output: Record<string, unknown>; /** An example of trigger.body. */ sample: unknown; show: "main" | "more" | "hidden"; summary: string; title: string }
export type ConnectorView = { actions: ActionItem[]; /** The ways in which a connection may sign its calls; none: it needs no connection. */ auth: AuthItem[]; /** The system's own documentation. */ docs?: string; endpoints: EndpointItem[]; /** Where its secrets may go. */ hosts: string[]; icon?: string; id: string; /** JSON Schemas: connection holds the plain fields of a connection, the others are named by actions. */ schemas: Record<string, Record<string, unknown>>; /** What a connection needs beside its auth for triggers. */ signing_secret?: SecretItem; /** A connection can be tried. */ test: boolean; title: string; triggers: ConnectorTriggerItem[]; version: string }
export type Create_connectionRequest = { /** One of the connector's ways to prove who it is; empty: its only one. */ auth?: string; connector: string; name: string; /** Its fields and secrets by the keys that they would have in bellhop.yaml. null takes one away; what is not named stays. A secret is never shown again. */ values?: Record<string, unknown> }
export type Create_draftRequest = { /** Of the new workflow; made from the name if left out. */ id?: string; /** For people. */ name?: string; /** The id of a template to begin with. */ template?: string; /** The YAML to begin with. */ text?: string }
export type Day = { date: string; failed: number; ok: number }
export type DeliveryFilter = { outcome?: "accepted" | "duplicate" | "handshake" | "kept" | "dropped" | "refused" | "failed"; /** Matches in path, sender, reason, ids and data, without regard to case. */ q?: string; since?: string; until?: string; workflow?: string }
export type DeliveryItem = { at: string; id: string; method: string; outcome: "accepted" | "duplicate" | "handshake" | "kept" | "dropped" | "refused" | "failed"; path: string; /** Why it was refused, kept or dropped. */ reason: string; remote: string; /** The delivery whose event it starts again. */ resend_of?: string; /** The last delivery that started its event again. */ resent_as?: string; /** The run that it started; empty: none. */ run: string; /** Bytes of its body. */ size: number; /** HTTP status of the answer. */ status: number; trigger: string; workflow: string }
export type DeliveryPage = { items: DeliveryItem[]; /** Cursor of the next page; empty at the end. */ next: string; /** With q: the search stopped at its bound in time; next goes on. */ partial?: boolean; /** With q: how many deliveries were looked at for this page. */ scanned?: number }
export type DeliveryView = { at: string; /** The body as it was received, at most 64 KiB of it, without secrets that are known here; the rest is at /body. */ body?: string; /** The body is no text; what is none of it stands as U+FFFD. */ body_binary?: boolean; body_truncated?: boolean; /** What expressions see as trigger. Headers and parameters that hold secrets are masked. */ event?: Record<string, unknown>; id: string; method: string; outcome: "accepted" | "duplicate" | "handshake" | "kept" | "dropped" | "refused" | "failed"; path: string; /** Why it was refused, kept or dropped. */ reason: string; remote: string; /** The delivery whose event it starts again. */ resend_of?: string; /** The last delivery that started its event again. */ resent_as?: string; /** The run that it started; empty: none. */ run: string; /** Bytes of its body. */ size: number; /** HTTP status of the answer. */ status: number; trigger: string; workflow: string }
export type DiffView = { after: string; before: string; /** With three lines around each change. */ lines: Line[]; sentences: Change[]; /** Of a draft: what was checked. */ verified: VerifiedItem[] }
export type DiskChange = { /** What changed in the file since the draft was made. */ changes: Change[]; /** There is no file any more. */ gone: boolean; text: string; version: string }
export type DraftItem = { by: string; changed_at: string; dirty: boolean; id: string; name: string; published: boolean; rev: string }
export type DraftView = { /** Who changed it last. */ by: string; changed_at?: string; /** What the draft changes, in words. */ changes: Change[]; /** Whether the draft says something else than the file that it was made from. */ dirty: boolean; /** The file has another text than the draft was made from: resolve before publishing. */ disk_changed?: DiskChange; /** Whether it could be published: there are only warnings. */ good: boolean; /** Of the workflow that it is or becomes. */ id: string; /** The text as a form shows it; left out when neither it nor an earlier revision can be read. */ model?: Model; name: string; problems: PlacedProblem[]; /** Whether there is a file of the workflow. */ published: boolean; /** The edit that redo makes again. */ redo?: Label; /** Of this text, as ETag has it. Changes are made on it with If-Match. */ rev: string; /** The text cannot be read: the model is that of the last revision that could. */ stale: boolean; text: string; /** The edit that undo takes back. */ undo?: Label }
export type DryItem = { /** Absent where it is larger than 64 KiB. */ item?: unknown; key: string; version?: string; why: "new" | "changed" }
export type DryPoll = { /** It would be the first poll, which remembers what is there and starts nothing. */ baseline: boolean; /** Items that would be left out, because they have no key. */ broken: number; /** Items in the answer. */ fetched: number; /** The new ones, at most 50. */ items: DryItem[]; message: string; /** Items that are new, or have another version. */ new: number; pages: number; warning?: string; /** Runs. */ would_start: number }
export type Duplicate_workflowRequest = { name?: string }
export type Edit_draftRequest = { ops: Op[] }
export type Ended = { status?: string; summary?: string }
export type EndpointItem = { /** Where a person enters the address. */ help?: string; id: string; /** How its deliveries are verified. */ scheme: string; setup: "manual" | "subscribe" }
export type ErrorDetail = { /** Where the error occurred, e.g. 'body.items[3].tags' or 'path.thing-id' */ location?: string; /** Error message text */ message?: string; /** The value at the given location */ value?: unknown }
export type Evaluate_expressionsRequest = { /** A draft whose event and steps are the sample of the items that have none. */ draft?: string; items: Evaluation[]; /** With draft: the event; its pinned or newest one if left out. */ sample?: string; /** With draft: the step (run_id) that the expressions stand in. */ step?: string }
export type Evaluated = { /** Of a condition: the comparisons that decided it, with their values. */ because?: Comparison[] | null; error?: EvaluationError; /** What it reads and the sample does not have. */ missing: string[]; /** The data that it reads, such as trigger.body.total. */ refs: string[]; /** Of the value; empty when there is an error. */ type: "nothing" | "boolean" | "number" | "text" | "list" | "object" | ""; /** The result; null when there is an error. */ value: unknown }
export type EvaluatedList = { /** One for each item of the request, in its order. */ items: Evaluated[] }
export type Evaluation = { /** An expression, as in filter. */ expr?: string; /** The roots that it sees, such as {"trigger": {"body": {}}}. */ sample?: unknown; /** A text with ${{ }}, as in with. Exactly one of expr and template is given. */ template?: string }
export type EvaluationError = { column?: number; hint?: string; line?: number; message: string }
export type Expression_rowsRequest = { /** A condition to show. Exactly one of expr and rows is given. */ expr?: string; /** Rows to write. */ rows?: Rows }
export type Expression_statsRequest = { draft: string; expr: string; last?: number }
export type Failure = { /** What happened, for programs and translation. */ code?: string; /** What went wrong, and where. */ detail: string; /** What did and did not happen. */ effect?: string; /** What is wrong with the request, one by one. */ errors?: ErrorDetail[] | null; /** What can be done about it, as buttons. */ fixes?: FixItem[] | null; /** What to do about it. */ hint?: string; /** What is wrong with the workflow file, one by one. */ problems?: Problem[] | null; /** What the other side answered. */ raw?: string; status: number; /** 409 and 412: the text that it has now. */ text?: string; /** What went wrong in the words of a user; the name of the status where there is no code. */ title: string; /** about:blank where status alone says what kind of problem it is, else urn:bellhop: and the code. */ type: string; /** 409, 412 and 428: the version that the file, or the revision that the draft has now. */ version?: string }
export type Fetch_sampleRequest = { trigger: string }
export type FetchedSample = { /** Expressions that have another value for each item, for key. */ fields: string[]; /** In the list, where there is one. */ items: number; /** Different keys that they have. Fewer than items: some could not be told from others. */ keys: number; /** The lists of the answer, for items. A poll that a connector defines has none. */ lists: FoundList[]; /** Why no run could start for them; empty: it could. */ problem: string; /** The event of the first item; empty: there is no item. */ sample: string }
export type Field = { /** Of an object its fields, of a list those of its first entry. */ children?: Field[] | null; /** How many entries a list or an object has. */ count?: number; /** The value is longer than what is shown. */ cut?: boolean; /** Shown folded at first, such as headers. */ folded?: boolean; label: string; /** As an expression writes it. */ path: string; type: "nothing" | "boolean" | "number" | "text" | "list" | "object"; /** Of a boolean, a number or a text, which is cut after 200 characters. */ value?: unknown }
export type FieldsView = { /** By trigger and step, the nearest first. */ groups: Group[]; /** The event that the values are from; left out: there is none, and the values are examples. */ sample?: SampleItem }
export type Fix = { label: Label; ops: Op[] }
export type FixItem = { /** What the button does, such as reload, undo or resolve:theirs. */ action: string; label: string }
export type FoundList = { /** The expression that gives it. */ expr: string; items: number }
export type Group = { /** When the values came to be. */ at?: string; /** The values are examples: the step was not run with this event. */ example: boolean; fields: Field[]; kind: string; /** Nothing is known of its output: test the step first. */ locked: boolean; /** Whether the step has an id, which expressions need. Give it one with a rename. */ named: boolean; /** The address of the trigger or step in the draft. */ path: string; /** trigger, steps.<id>, or the root of a loop, such as item. */ source: string; /** The id of the step; empty: the trigger. */ step: string; title: string; /** connector.action of a step with use. */ use: string }
export type Histogram = { buckets: Bucket[]; /** There are more: only the newest were counted. */ partial: boolean; /** Width of a bucket. */ seconds: number; /** Begin of the first bucket. */ since: string; total: number }
export type HookState = { /** When the provider last confirmed it. */ created?: string; /** Why the provider does not call us. */ error?: string; failures?: number; /** When a failure is tried again. */ next?: string; phase: "creating" | "active" | "deleting" | "manual" | "none"; /** When it is renewed. */ renewal?: string; /** What the provider calls. */ url: string }
export type ImportNote = { kind: string; /** Of the manifest, from 1; 0: of none. */ line: number; message: string; where: string }
export type Imported = { /** The text of the file. */ manifest?: string; /** Id of the connector; its file is connectors/<name>.yaml. */ name?: string; /** What a person should know. */ notes: ImportNote[]; /** Without choose: all that can be chosen; else what was. */ operations: Operation[] }
export type Label = { code: string; params?: Record<string, unknown>; text: string }
export type Line = { /** Its number in the new text. */ new: number; /** Its number in the old text, from 1; 0: it is not there. */ old: number; op: "keep" | "add" | "remove"; text: string }
export type Model = { /** What the list shows of each trigger and step, by path. */ cards: Record<string, Card>; /** When each path of paths is taken, in words; by the path of its steps. One that is taken otherwise, or always, has none. */ conditions: Record<string, string>; description: string; /** What the text says: false turns the workflow off. */ enabled: boolean; /** The settings of the workflow: all its keys but triggers, steps and on_failure, in the order of the file. */ fields: OutlineField[]; /** For people; made from the id where the file gives none. */ name: string; on_failure: OutlineEntry[]; steps: OutlineEntry[]; tags: string[]; triggers: OutlineEntry[] }
export type NamedItem = { id: string; summary: string; title: string }
export type Op = { /** insert, paste: before which entry; the end if left out. move: the place in the list, counted without the entry. */ at?: number; /** rename: the new id of the step or trigger, or the new key of the field. Everything that refers to it follows. */ name?: string; op: "set" | "insert" | "delete" | "move" | "rename" | "note" | "paste"; /** What is changed, such as steps.notify.with.channel. insert and paste: the list, such as steps or steps.fan.paths[0].steps. */ path: string; /** note: the comment above the entry; empty removes it. paste: YAML of one or more steps. insert: YAML in the place of value. */ text?: string; /** move: the list that it goes to; its own if left out. */ to?: string; /** set, insert: the new value. Fields are written in this order. */ value?: unknown }
export type Operation = { deprecated: boolean; id: string; method: string; operation: string; path: string; tags: string[] | null; title: string }
export type OutlineEntry = { /** Its keys in the order of the file. */ fields: OutlineField[]; /** Its first line, from 1, its note not counted. */ from: number; /** Empty where the file gives none. */ id: string; /** The key that says what it does; empty: there is none yet. */ kind: string; /** The lists of steps inside it. */ lists: OutlineList[]; /** The comment above it, without the # marks. */ note: string; /** Its address for edits: steps.<id>, or its place where it has no id. */ path: string; /** The id by which runs and problems call it: the one that it gets where the file gives none. */ run_id: string; /** Its last line. */ to: number }
export type OutlineField = { column: number; end_column: number; /** Where it ends. */ end_line: number; /** The value is an expression as it stands, without ${{ }}. */ expression?: boolean; key: string; /** Where the value begins, from 1. */ line: number; path: string; /** The condition as rows; left out where rows cannot say it. */ rows?: Rows; /** The value as the file has it: texts with their templates, objects in the order of the file. */ value: unknown }
export type OutlineItem = { action?: string; connector?: string; /** How many steps it is inside of. */ depth?: number; /** What it does, such as the condition of a filter. */ detail?: string; id: string; /** filter, set, use, … */ kind: string; /** Its name, else the title of its action; empty: its kind says it. */ title?: string }
export type OutlineList = { /** What else the path or part says, such as name and when. */ fields: OutlineField[]; /** Of the path or part; else of the step. */ owner: string; /** Of the list of steps; it may be missing in the file, an insert makes it. */ path: string; /** steps: of for_each; path: one of paths; part: one of parallel. */ role: "steps" | "on_error" | "path" | "part"; steps: OutlineEntry[] }
export type PageApprovalItem = { items: ApprovalItem[]; /** Cursor of the next page; empty at the end. */ next: string }
export type PageBulk = { items: Bulk[]; /** Cursor of the next page; empty at the end. */ next: string }
export type PageChoice = { items: Choice[]; /** Cursor of the next page; empty at the end. */ next: string }
export type PageConnectionItem = { items: ConnectionItem[]; /** Cursor of the next page; empty at the end. */ next: string }
export type PageConnectorItem = { items: ConnectorItem[]; /** Cursor of the next page; empty at the end. */ next: string }
export type PageDraftItem = { items: DraftItem[]; /** Cursor of the next page; empty at the end. */ next: string }
export type PageSampleItem = { items: SampleItem[]; /** Cursor of the next page; empty at the end. */ next: string }
export type PageSeenKey = { items: SeenKey[]; /** Cursor of the next page; empty at the end. */ next: string }
export type PageStepView = { items: StepView[]; /** Cursor of the next page; empty at the end. */ next: string }
export type PageTask = { items: Task[]; /** Cursor of the next page; empty at the end. */ next: string }
export type PageTemplateItem = { items: TemplateItem[]; /** Cursor of the next page; empty at the end. */ next: string }
export type PageTrashItem = { items: TrashItem[]; /** Cursor of the next page; empty at the end. */ next: string }
export type PageVersionItem = { items: VersionItem[]; /** Cursor of the next page; empty at the end. */ next: string }
export type PageWorkflowItem = { items: WorkflowItem[]; /** Cursor of the next page; empty at the end. */ next: string }
export type Pin_sampleRequest = { pinned: boolean }
export type PlacedProblem = { column: number; end_column: number; end_line: number; file: string; fix?: Fix; hint?: string; line: number; message: string; /** The trigger, step or field that it is in; empty: the file as a whole. */ path: string; snippet?: string; step?: string; warning?: boolean }
export type PollRecord = { /** A person asked for it. */ asked?: boolean; at: string; /** What it found was remembered, and nothing started. */ baseline?: boolean; /** Items that were left out, because they have no key. */ broken?: number; error?: string; /** Items in the answer. */ fetched: number; ms: number; /** Items that were new, or had another version. */ new: number; /** Calls that were answered; absent: none was. */ pages?: number; /** Runs. */ started: number; /** The other side answered 304: nothing has changed. */ unchanged?: boolean; warning?: string }
export type PollRequest = { /** Only say what would start. */ dry?: boolean }
export type PollState = { /** One answer was read, so the next poll is not the first. */ begun: boolean; /** The last answer carried a mark (ETag or Last-Modified) that the next poll sends along. */ conditional: boolean; cron?: string; /** One run for each item that is new, or one for all of a poll. */ emit: "each" | "batch"; error?: string; /** Between two polls; absent: at the times of cron. */ every?: string; failures: number; /** What the first poll does with what is there: remember it, or start runs for it. */ first: "baseline" | "emit"; last_poll?: string; next_poll?: string; /** Where a connector's own poll stands, in the words of the other side; absent where it is larger than 4 KiB. */ place?: unknown; /** The last ones, newest first, at most 20. */ polls: PollRecord[]; seen: number; started: number; warning?: string }
export type Polled = { /** With dry only. */ dry?: DryPoll; /** Absent with dry. */ poll?: PollRecord }
export type Problem = { column: number; file: string; hint?: string; line: number; message: string; snippet?: string; step?: string; warning?: boolean }
export type Publish_draftRequest = { /** Turns the workflow on or off with it; left out: as the text says. */ enabled?: boolean; /** Why, for the history. */ message?: string }
export type Published = { draft: DraftView; /** The one before; empty: there was none. PUT it back with undo. */ previous: string; /** The one that is live now. */ version: string }
export type Rename_workflowRequest = { /** The new id; a folder in front moves it. */ id: string }
export type Repeat = { step: string; use: string }
export type ReplayRequest = { /** The newest, so many; 0: 50, or 500 with since or until. */ last?: number; /** Make calls that only read for real, where no answer was recorded. */ reads?: boolean; /** These runs; the other fields are for when there are none. */ runs?: string[] | null; /** Accepted at or after. */ since?: string; /** A workflow file; absent: the version that runs. */ text?: string; /** Accepted before. */ until?: string }
export type Replayed = { at: string; /** What is different about that step. */ change?: "input" | "output" | "status" | "new" | "gone" | "answer"; /** Why it could not be replayed. */ error?: string; /** Steps whose answer is the example of their action, because their input was never sent. */ guessed?: string[] | null; /** The run; with then.status kept, the delivery. */ id: string; /** With the draft. */ now: Ended; outcome: "error" | "now_fails" | "now_filtered" | "now_passes" | "different" | "same"; /** The first step that gets another input; else the first with any difference. */ step?: string; steps?: StepChange[] | null; then: Ended }
export type RerunMany = { /** Only tell how many they are and what would be done a second time; nothing is started. */ check?: boolean; /** start, failed, or the id of a step; default: failed where all are failed, else start */ from?: string; /** These runs; without them, those of the filter. */ ids?: string[] | null; q?: string; /** How many begin in a second; default 10. */ rate?: number; since?: string; /** Only runs of these; default: failed. */ status?: string[] | null; until?: string; version?: "then" | "now"; workflow?: string }
export type RerunRequest = { /** Only tell what would be done a second time; nothing is started. */ check?: boolean; /** Takes the place of trigger.body. */ data?: unknown; /** start, failed, or the id of a step */ from?: string; /** The version that ran, or the current one. */ version?: "then" | "now" }
export type RerunStarted = { /** The run; none with check. */ id?: string; /** Steps that changed something outside in the old run, or may have, and are done again. */ repeats?: Repeat[] | null }
export type Resend_deliveriesRequest = { /** Only say which. */ dry?: boolean; filter?: DeliveryFilter; ids?: string[] | null }
export type Resent = { /** The new delivery. */ delivery: string; /** The run. */ id: string; note: string }
export type ResentItem = { delivery: string; error?: string; run?: string }
export type ResentMany = { /** Nothing was sent. */ dry?: boolean; failed: number; items: ResentItem[]; /** Deliveries that are sent again. */ matched: number; /** There are more of them: repeat the call. */ more: boolean; note: string }
export type Resolve_draftRequest = { /** mine: the draft stays, and publishing replaces the file. theirs: the draft takes the text of the file; undo brings it back. */ use: "mine" | "theirs" }
export type Resolve_runRequest = { /** done: what failed counts as done, and a new run goes on behind it; again: a new run goes on from what failed; give_up: nothing more is done. */ as: "done" | "again" | "give_up"; /** With done: the output of the step. */ output?: unknown }
export type RewindRequest = { /** Poll, and remember everything without starting a run. */ all_seen?: boolean; dry?: boolean; /** Forget these keys. */ forget?: string[] | null; /** Forget what was first seen, or changed, at or after this time. */ to?: string }
export type Rewound = { /** Nothing was changed. */ dry: boolean; /** Keys that are forgotten, or remembered. */ keys: number; /** The most runs that the next poll starts for them: those that the other side still lists. */ may_start: number; message: string; /** With to, of a connector's own poll: where it stands is no time and stays, so only what the other side still lists from there is found again. */ place_stays?: boolean; /** Keys to forget that are not remembered. */ unknown?: string[] | null }
export type RoundsView = { done: number; failed: number; shown: number; total: number }
export type Row = { /** What is tested, such as trigger.body.amount. */ field?: string; /** A group; then nothing else is set. */ group?: Rows; /** Texts are compared in small letters. */ ignore_case?: boolean; /** A missing field counts as empty; else ordering it fails the step. */ missing_is_empty?: boolean; /** Data in the place of value, such as steps.order.limit. */ path?: string; /** text: is is_not contains not_contains starts_with ends_with one_of not_one_of matches has_value is_empty; number: is is_not greater greater_or_equal less less_or_equal between one_of not_one_of; date: before after within_last; boolean: is; list: contains is_empty has_more_than. */ test?: string; /** The upper end of between. */ to?: unknown; /** Data in the place of to. */ to_path?: string; type?: "text" | "number" | "date" | "boolean" | "list"; /** A text, a number, true or false; a list of them for one_of; a date or a duration as text. */ value?: unknown }
export type Rows = { items: Row[]; /** Whether all items must hold, or any. */ match: "all" | "any" }
export type RowsView = { /** Whether a form can edit the rows: groups stand at most one level deep. */ editable: boolean; expr: string; problems: EvaluationError[]; /** The data that it reads. */ refs: string[]; /** null: rows cannot say it, so it is edited as a formula. */ rows: Rows; /** The condition in words, where there are rows. */ text: string }
export type RunDetail = { caller?: string; caller_step?: string; /** Whether that version is the one that runs now. */ current: boolean; /** What was decided on a run that failed; absent: nobody has. */ decision?: "done" | "again" | "give_up"; finished_at: string | null; id: string; parent?: string; /** The steps of the version that ran, in the order of its file. */ plan: OutlineItem[]; reason?: string; started_at: string; status: string; steps: StepView[] | null; summary?: string; /** It is a test run; pretend: calls that do more than read were not made. */ test?: "pretend" | "really"; /** Every attempt at a step that was tried more than once, in their order. */ tries: TryItem[]; trigger: unknown; triggers: TriggerItem[]; version: string; workflow: string; workflow_name: string }
export type RunItem = { finished_at: string | null; id: string; /** The run that this one repeats. */ parent?: string; /** Why it ended that way, as one word. */ reason?: string; /** When it was accepted. */ started_at: string; status: "queued" | "running" | "waiting" | "succeeded" | "filtered" | "failed" | "canceled"; /** One sentence for people. */ summary: string; /** It is a test run of a draft; pretend: calls that do more than read were not made. */ test?: "pretend" | "really"; /** The id of the trigger. */ trigger: string; version: string; workflow: string }
export type RunPage = { items: RunItem[]; /** Cursor of the next page; empty at the end. */ next: string; /** With q: the search stopped at its bound in time; next goes on. */ partial?: boolean; /** With q: how many runs were read for this page. */ scanned?: number }
export type SampleItem = { at: string; /** How many fields its body or item has. */ fields: number; /** Of a kept sample, or delivery:<id>, or run:<id>. */ id: string; /** It is stored with the draft; else it is there as long as the delivery or the run is. */ kept: boolean; /** Of a delivery. */ method: string; /** Of a delivery, such as kept or refused; of a run its status. */ outcome: string; /** It is used where none is named. */ pinned: boolean; /** Why a delivery was refused or kept. */ reason: string; source: "json" | "delivery" | "run" | "fetch"; /** The first values of the event. */ title: string; /** The id of the trigger. */ trigger: string }
export type SampleView = { at: string; /** What expressions see: trigger, and steps where outputs are known. */ data: Record<string, unknown>; /** How many fields its body or item has. */ fields: number; /** Of a kept sample, or delivery:<id>, or run:<id>. */ id: string; /** It is stored with the draft; else it is there as long as the delivery or the run is. */ kept: boolean; /** Of a delivery. */ method: string; /** Of a delivery, such as kept or refused; of a run its status. */ outcome: string; /** It is used where none is named. */ pinned: boolean; /** Why a delivery was refused or kept. */ reason: string; source: "json" | "delivery" | "run" | "fetch"; /** The first values of the event. */ title: string; /** The id of the trigger. */ trigger: string }
export type Save_run_as_testRequest = { /** Of the test; empty: one that says how the run ended. */ name?: string }
export type SavedTest = { /** Why it cannot be saved; absent: it can. */ blocked?: string; /** What keeps the test from passing as it is; mostly none. */ failures: string[]; file: string; /** What saving adds to the file, with three lines around. */ lines: Line[]; /** Of the test. */ name: string; /** It was. */ saved: boolean; /** A test file. */ text: string }
export type ScheduleState = { last?: string; /** What happens with the times at which the server was off. */ missed: "none" | "last" | "all"; next: string[] | null; /** What a change of clocks does to the next times; absent: none comes before them. */ next_note?: string; /** What happens when the run before has not ended. */ overlap: "queue" | "skip" | "allow"; summary: string }
export type ScopesItem = { default: string[]; optional: string[] }
export type SecretItem = { help?: string; multiline?: boolean; name: string; optional?: boolean; pattern?: string; title: string }
export type SeenKey = { /** When its version changed last; equal to first_seen when it never did. */ changed: string; first_seen: string; /** At most 512 bytes of it. */ key: string; /** The run that it started last; empty: none, such as at the first poll. */ run?: string; version?: string }
export type Send_sampleRequest = { /** The body; an example if left out. */ json?: unknown; /** The webhook; the first if left out. */ trigger?: string }
export type SentRequest = { /** The first 64 KiB. */ body: string; headers: Record<string, string>; method: string; url: string }
export type SentSample = { address: string; /** The answer itself. */ answer: string; /** The sample that it can be used as; empty when it was refused. */ sample: string; /** HTTP status of the answer. */ status: number }
export type Set_enabledRequest = { enabled: boolean }
export type SettingsChange = { /** Takes effect at once. */ alerts?: Alerts; public_url?: string; storage_days?: string; storage_max?: string; timezone?: string }
export type SettingsView = { /** Who is told when a workflow begins to fail; absent: nobody. */ alerts?: Alerts; folder: string; /** Private networks that workflows may call. */ outbound_allow: string[]; /** Where other apps reach this server. */ public_url: string; /** 0: for good. */ storage_days: number; /** As bellhop.yaml has it, such as 2GB; empty: no bound. */ storage_max: string; /** Bytes on disk now. */ storage_size: number; /** Of dates that name none. */ timezone: string; /** Of this build. */ version: string }
export type SignedIn = { connection: string; done: boolean; ok: boolean; /** Why it failed. */ reason?: string }
export type SigningInBody = { /** What the person enters there (device flow). */ code?: string; expires_at: string; state: string; /** Where the person goes. */ url: string }
export type Start_runRequest = { /** What expressions see as trigger.body. */ body?: unknown }
export type Start_sign_inRequest = { auth?: string; /** Of a new connection; empty: the connection exists. */ connector?: string; name: string; /** Its fields and secrets by the keys that they would have in bellhop.yaml. null takes one away; what is not named stays. A secret is never shown again. */ values?: Record<string, unknown> }
export type Started = { /** The run. */ id: string }
export type State = { hook?: HookState; kind: string; poll?: PollState; schedule?: ScheduleState; webhook?: WebhookState }
export type StatsView = { /** Why the first of those failed. */ error: string; /** How many were looked at. */ events: number; /** The condition fails on them, as when a field is missing. */ failed: number; pass: number; stop: number }
export type StepChange = { change: "input" | "output" | "status" | "new" | "gone" | "answer"; now?: unknown; /** In a loop: the step of one round, such as lines[12].tell. */ path?: string; step: string; then?: unknown }
export type StepError = { attempts?: number; message: string; status?: number; step?: string }
export type StepTrial = { /** Of a filter: the comparisons that decided it. */ because?: Comparison[] | null; error?: StepError; /** What the step was given: with, evaluated. */ input?: unknown; ms: number; output?: unknown; /** Of a preview: what would be sent, secrets masked. */ sent?: SentRequest[] | null; status: "succeeded" | "filtered" | "skipped" | "failed" | "previewed" }
export type StepView = { attempts: number; because?: Comparison[] | null; branch?: string; carried?: boolean; error?: StepError; id: string; input?: unknown; kind: string; ms: number; name?: string; output?: unknown; parent?: string; path: string; retry_at?: string; round?: number; rounds?: RoundsView; run?: string; started_at: string; status: string; summary?: string; until?: string }
export type Task = { /** When it came. */ at: string; /** Who did it; bellhop: it was done by itself. */ by?: string; connection: string; connector: string; done?: string; /** To be done by then. */ due: string; id: string; /** What is asked for. */ kind: "access" | "erase" | "erase_all"; /** What keeps it from being done by itself. */ note?: string; /** Runs that were erased. */ runs: number; /** Whose data it is about, such as an e-mail address. Empty once it is erased. */ subject: string; trigger: string }
export type TemplateBlock = { kind: string; title: string; /** connector.action of a step with use. */ use: string }
export type TemplateItem = { /** Its triggers and steps, in order. */ chain: TemplateBlock[]; description: string; id: string; name: string; text: string }
export type Test = { at: string; /** The step says something else since. */ changed: boolean; status: string }
export type Test_draftRequest = { mode: "pretend" | "really"; /** The event; the pinned one, else the newest, if left out. */ sample?: string }
export type Test_stepRequest = { /** A person knows that this call does more than read, and wants it made. */ confirmed?: boolean; /** Do not use its output below. */ forget?: boolean; mode: "really" | "preview"; /** The event; the pinned one, else the newest, if left out. */ sample?: string }
export type TestRun = { run: string }
export type Tested = { label?: string; ok: boolean; /** Why it does not work. */ reason?: string }
export type TextSaved = { id: string; /** Warnings; the workflow runs in spite of them. */ problems: Problem[]; version: string }
export type Total = { count: number; outcome: string; step?: string; text: string }
export type TrashItem = { at: string; by: string; id: string; name: string; /** Until when it can be restored. */ until: string }
export type Trial = { events: number; /** Event by event, newest first. */ items: Replayed[]; ms: number; /** Events by outcome, the one that matters most first. */ totals: Total[]; /** Of the text that was tried. */ version: string; workflow: string }
export type TriggerItem = { connector?: string; id: string; kind: string; summary: string }
export type TryItem = { attempt: number; error?: string; ms: number; started_at: string; status: string; step: string }
export type Undo_publishRequest = { /** The version that the publish answered. */ version: string }
export type Undone = { draft: DraftView; /** The one that is live now; empty: the workflow was new, and its file is gone again. */ version: string }
export type VerifiedItem = { /** It keeps the draft from being published. */ blocks: boolean; code: string; ok: boolean; params: Record<string, unknown>; text: string }
export type VersionItem = { at: string; /** Who published it; file: a change on disk. */ by: string; /** What it changed, in words. */ changes: Change[]; /** It is the one that runs now. */ live: boolean; message: string; /** The version before; empty: it was the first. */ previous: string; version: string }
export type WebhookDelivery = { at: string; id: string; outcome: string; reason?: string; run?: string; /** HTTP status of the answer. */ status: number }
export type WebhookState = { /** The newest, at most 20. */ deliveries: WebhookDelivery[]; last?: string; methods: string[] | null; outcome?: string; reason?: string; url: string }
export type WorkflowItem = { /** Its steps by name, in the order of the file. */ chain: OutlineItem[]; description: string; /** Whether its triggers start runs: it is enabled in its file and nothing stands in the way (reason). */ enabled: boolean; /** The version of the file; another one than version while the file has errors. */ file_version: string; /** failing: the newest run failed; attention: reason or problems say why. */ health: "healthy" | "failing" | "attention" | "off"; id: string; last_run?: RunItem; name: string; /** What is wrong with the file. */ problems: Problem[]; /** What keeps an enabled workflow from running, or why an older version runs. */ reason?: string; /** Its runs in each of the last twelve hours, the oldest first. */ spark: Bucket[]; steps: number; tags: string[]; triggers: TriggerItem[]; /** The version that runs; empty: none does. */ version: string }
export type Write_connectorRequest = { /** Version of the file that it replaces; empty: there must be none. */ if_version?: string; /** The manifest. */ text: string }
export type Write_draft_textRequest = { text: string }

/** Every call: its parameters, the body that it takes and what it answers. */
export interface Calls {
  "GET /approvals": {
    path: {  }
    query: { cursor?: string; limit?: number }
    body: undefined
    result: PageApprovalItem
  }
  "GET /backup": {
    path: {  }
    query: {  }
    body: undefined
    result: void
  }
  "GET /connections": {
    path: {  }
    query: { cursor?: string; limit?: number }
    body: undefined
    result: PageConnectionItem
  }
  "POST /connections": {
    path: {  }
    query: {  }
    body: Create_connectionRequest
    result: ConnectionItem
  }
  "DELETE /connections/{name}": {
    path: { name: string }
    query: {  }
    body: undefined
    result: void
  }
  "GET /connections/{name}": {
    path: { name: string }
    query: {  }
    body: undefined
    result: ConnectionItem
  }
  "PATCH /connections/{name}": {
    path: { name: string }
    query: {  }
    body: ConnectionValues
    result: ConnectionItem
  }
  "POST /connections/{name}/test": {
    path: { name: string }
    query: {  }
    body: undefined
    result: Tested
  }
  "GET /connectors": {
    path: {  }
    query: { cursor?: string; limit?: number }
    body: undefined
    result: PageConnectorItem
  }
  "POST /connectors/import": {
    path: {  }
    query: {  }
    body: { /** Operation ids, tags, paths such as "GET /v1/things/*", or * for all. */ choose?: string[]; /** Id of the connector; default: from the title of the document. */ name?: string; /** The document: its text as JSON or YAML, or the JSON itself. This or url. */ openapi?: unknown; /** The text of an overlay (Overlay Specification 1.1), applied first. */ overlay?: string; /** Where to download it. */ url?: string }
    result: Imported
  }
  "GET /connectors/{id}": {
    path: { id: string }
    query: {  }
    body: undefined
    result: ConnectorView
  }
  "GET /connectors/{id}/fields": {
    path: { id: string }
    query: { action: string; field: string; connection?: string; with?: string }
    body: undefined
    result: Record<string, unknown>
  }
  "GET /connectors/{id}/icon": {
    path: { id: string }
    query: { v?: string }
    body: undefined
    result: string
  }
  "GET /connectors/{id}/options": {
    path: { id: string }
    query: { action: string; field: string; connection?: string; with?: string; search?: string }
    body: undefined
    result: PageChoice
  }
  "PUT /connectors/{id}/text": {
    path: { id: string }
    query: {  }
    body: Write_connectorRequest
    result: Adopted
  }
  "GET /deliveries": {
    path: {  }
    query: { cursor?: string; limit?: number; workflow?: string; outcome?: "accepted" | "duplicate" | "handshake" | "kept" | "dropped" | "refused" | "failed"; q?: string; since?: string; until?: string }
    body: undefined
    result: DeliveryPage
  }
  "POST /deliveries/resend": {
    path: {  }
    query: {  }
    body: Resend_deliveriesRequest
    result: ResentMany
  }
  "GET /deliveries/{id}": {
    path: { id: string }
    query: {  }
    body: undefined
    result: DeliveryView
  }
  "GET /deliveries/{id}/body": {
    path: { id: string }
    query: {  }
    body: undefined
    result: string
  }
  "POST /deliveries/{id}/resend": {
    path: { id: string }
    query: {  }
    body: undefined
    result: Resent
  }
  "GET /drafts": {
    path: {  }
    query: { cursor?: string; limit?: number }
    body: undefined
    result: PageDraftItem
  }
  "POST /drafts": {
    path: {  }
    query: {  }
    body: Create_draftRequest
    result: DraftView
  }
  "DELETE /drafts/{id}": {
    path: { id: string }
    query: {  }
    body: undefined
    result: void
  }
  "GET /drafts/{id}": {
    path: { id: string }
    query: {  }
    body: undefined
    result: DraftView
  }
  "PATCH /drafts/{id}": {
    path: { id: string }
    query: {  }
    body: Edit_draftRequest
    result: DraftView
  }
  "POST /drafts/{id}/complete": {
    path: { id: string }
    query: {  }
    body: Complete_draftRequest
    result: CompletionList
  }
  "GET /drafts/{id}/diff": {
    path: { id: string }
    query: {  }
    body: undefined
    result: DiffView
  }
  "POST /drafts/{id}/diff": {
    path: { id: string }
    query: {  }
    body: Compare_draftRequest
    result: DiffView
  }
  "POST /drafts/{id}/fetch": {
    path: { id: string }
    query: {  }
    body: Fetch_sampleRequest
    result: FetchedSample
  }
  "GET /drafts/{id}/fields": {
    path: { id: string }
    query: { step?: string; sample?: string }
    body: undefined
    result: FieldsView
  }
  "POST /drafts/{id}/publish": {
    path: { id: string }
    query: {  }
    body: Publish_draftRequest
    result: Published
  }
  "POST /drafts/{id}/publish/undo": {
    path: { id: string }
    query: {  }
    body: Undo_publishRequest
    result: Undone
  }
  "POST /drafts/{id}/redo": {
    path: { id: string }
    query: {  }
    body: undefined
    result: DraftView
  }
  "POST /drafts/{id}/resolve": {
    path: { id: string }
    query: {  }
    body: Resolve_draftRequest
    result: DraftView
  }
  "GET /drafts/{id}/samples": {
    path: { id: string }
    query: {  }
    body: undefined
    result: PageSampleItem
  }
  "POST /drafts/{id}/samples": {
    path: { id: string }
    query: {  }
    body: Add_sampleRequest
    result: SampleItem
  }
  "DELETE /drafts/{id}/samples/{sample}": {
    path: { id: string; sample: string }
    query: {  }
    body: undefined
    result: void
  }
  "GET /drafts/{id}/samples/{sample}": {
    path: { id: string; sample: string }
    query: {  }
    body: undefined
    result: SampleView
  }
  "PUT /drafts/{id}/samples/{sample}/pin": {
    path: { id: string; sample: string }
    query: {  }
    body: Pin_sampleRequest
    result: SampleItem
  }
  "POST /drafts/{id}/send_sample": {
    path: { id: string }
    query: {  }
    body: Send_sampleRequest
    result: SentSample
  }
  "POST /drafts/{id}/steps/{step}/test": {
    path: { id: string; step: string }
    query: {  }
    body: Test_stepRequest
    result: StepTrial
  }
  "POST /drafts/{id}/test": {
    path: { id: string }
    query: {  }
    body: Test_draftRequest
    result: TestRun
  }
  "PUT /drafts/{id}/text": {
    path: { id: string }
    query: {  }
    body: Write_draft_textRequest
    result: DraftView
  }
  "POST /drafts/{id}/undo": {
    path: { id: string }
    query: {  }
    body: undefined
    result: DraftView
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
  "POST /expressions/rows": {
    path: {  }
    query: {  }
    body: Expression_rowsRequest
    result: RowsView
  }
  "POST /expressions/stats": {
    path: {  }
    query: {  }
    body: Expression_statsRequest
    result: StatsView
  }
  "POST /oauth": {
    path: {  }
    query: {  }
    body: Start_sign_inRequest
    result: SigningInBody
  }
  "GET /oauth/{state}": {
    path: { state: string }
    query: {  }
    body: undefined
    result: SignedIn
  }
  "GET /runs": {
    path: {  }
    query: { cursor?: string; limit?: number; workflow?: string; status?: ("queued" | "running" | "waiting" | "succeeded" | "filtered" | "failed" | "canceled")[] | null; since?: string; until?: string; q?: string; skip?: number; needs?: "decision" }
    body: undefined
    result: RunPage
  }
  "GET /runs/export": {
    path: {  }
    query: { workflow?: string; status?: ("queued" | "running" | "waiting" | "succeeded" | "filtered" | "failed" | "canceled")[] | null; since?: string; until?: string; q?: string; limit?: number }
    body: undefined
    result: void
  }
  "GET /runs/histogram": {
    path: {  }
    query: { workflow?: string; status?: ("queued" | "running" | "waiting" | "succeeded" | "filtered" | "failed" | "canceled")[] | null; since?: string; until?: string }
    body: undefined
    result: Histogram
  }
  "GET /runs/rerun": {
    path: {  }
    query: {  }
    body: undefined
    result: PageBulk
  }
  "POST /runs/rerun": {
    path: {  }
    query: {  }
    body: RerunMany
    result: BulkStarted
  }
  "DELETE /runs/rerun/{job}": {
    path: { job: string }
    query: {  }
    body: undefined
    result: Bulk
  }
  "GET /runs/rerun/{job}": {
    path: { job: string }
    query: {  }
    body: undefined
    result: Bulk
  }
  "GET /runs/{id}": {
    path: { id: string }
    query: {  }
    body: undefined
    result: RunDetail
  }
  "GET /runs/{id}/as-test": {
    path: { id: string }
    query: { name?: string }
    body: undefined
    result: SavedTest
  }
  "POST /runs/{id}/as-test": {
    path: { id: string }
    query: {  }
    body: Save_run_as_testRequest
    result: SavedTest
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
    result: RerunStarted
  }
  "POST /runs/{id}/resolve": {
    path: { id: string }
    query: {  }
    body: Resolve_runRequest
    result: RerunStarted
  }
  "GET /runs/{id}/steps": {
    path: { id: string }
    query: { in: string; round?: number; cursor?: string; limit?: number }
    body: undefined
    result: PageStepView
  }
  "POST /runs/{id}/steps/{step}/approval": {
    path: { id: string; step: string }
    query: {  }
    body: Answer_approvalRequest
    result: void
  }
  "POST /secrets/rotate": {
    path: {  }
    query: {  }
    body: undefined
    result: void
  }
  "GET /settings": {
    path: {  }
    query: {  }
    body: undefined
    result: SettingsView
  }
  "PATCH /settings": {
    path: {  }
    query: {  }
    body: SettingsChange
    result: SettingsView
  }
  "GET /tasks": {
    path: {  }
    query: { cursor?: string; limit?: number }
    body: undefined
    result: PageTask
  }
  "POST /tasks/{id}/done": {
    path: { id: string }
    query: {  }
    body: undefined
    result: Task
  }
  "GET /tasks/{id}/export": {
    path: { id: string }
    query: {  }
    body: undefined
    result: void
  }
  "GET /templates": {
    path: {  }
    query: { cursor?: string; limit?: number }
    body: undefined
    result: PageTemplateItem
  }
  "GET /trash": {
    path: {  }
    query: {  }
    body: undefined
    result: PageTrashItem
  }
  "GET /workflows": {
    path: {  }
    query: { cursor?: string; limit?: number; q?: string; tag?: string; enabled?: "true" | "false" }
    body: undefined
    result: PageWorkflowItem
  }
  "DELETE /workflows/{id}": {
    path: { id: string }
    query: {  }
    body: undefined
    result: void
  }
  "GET /workflows/{id}": {
    path: { id: string }
    query: {  }
    body: undefined
    result: WorkflowItem
  }
  "POST /workflows/{id}/duplicate": {
    path: { id: string }
    query: {  }
    body: Duplicate_workflowRequest
    result: DraftView
  }
  "PUT /workflows/{id}/enabled": {
    path: { id: string }
    query: {  }
    body: Set_enabledRequest
    result: WorkflowItem
  }
  "POST /workflows/{id}/rename": {
    path: { id: string }
    query: {  }
    body: Rename_workflowRequest
    result: WorkflowItem
  }
  "POST /workflows/{id}/replay": {
    path: { id: string }
    query: {  }
    body: ReplayRequest
    result: Trial
  }
  "POST /workflows/{id}/restore": {
    path: { id: string }
    query: {  }
    body: undefined
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
  "GET /workflows/{id}/triggers/{trigger}/keys": {
    path: { id: string; trigger: string }
    query: { cursor?: string; limit?: number; q?: string }
    body: undefined
    result: PageSeenKey
  }
  "POST /workflows/{id}/triggers/{trigger}/poll": {
    path: { id: string; trigger: string }
    query: {  }
    body: PollRequest
    result: Polled
  }
  "POST /workflows/{id}/triggers/{trigger}/rewind": {
    path: { id: string; trigger: string }
    query: {  }
    body: RewindRequest
    result: Rewound
  }
  "GET /workflows/{id}/versions": {
    path: { id: string }
    query: { cursor?: string; limit?: number }
    body: undefined
    result: PageVersionItem
  }
  "GET /workflows/{id}/versions/{version}": {
    path: { id: string; version: string }
    query: {  }
    body: undefined
    result: { id: string; text: string; version: string }
  }
  "GET /workflows/{id}/versions/{version}/diff": {
    path: { id: string; version: string }
    query: { against?: string }
    body: undefined
    result: DiffView
  }
  "GET /workflows/{id}/versions/{version}/model": {
    path: { id: string; version: string }
    query: {  }
    body: undefined
    result: Model
  }
  "POST /workflows/{id}/versions/{version}/restore": {
    path: { id: string; version: string }
    query: {  }
    body: undefined
    result: DraftView
  }
}
