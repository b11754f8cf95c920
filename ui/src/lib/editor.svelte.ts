// One draft in the editor: its text is on the server, an edit is an operation there. Edits go one after another; what
// cannot be sent stays here and is sent again, so nothing is lost. Another tab or person shows as a conflict.
import { api, ApiError, isAbort, isOffline, isStale } from './api'
import type { Card, DraftView, Evaluated, FetchedSample, Field, FieldsView, Op, OutlineEntry, SampleItem } from './api.types'
import { stream } from './events.svelte'
import { t } from './i18n'
import { FollowedRun } from './followed.svelte'
import { wentAlong } from './outline'
import { stepsOf } from './run'
import { toasts } from './toasts.svelte'

export type SaveState = 'saved' | 'saving' | 'offline'
type Work = (rev: string) => Promise<DraftView>

/** The server is not there, or not ready. */
const away = (e: unknown): boolean => isOffline(e) || (e instanceof ApiError && e.status === 503)

export class Editor {
  draft = $state.raw<DraftView>()
  error = $state.raw<unknown>()
  save = $state<SaveState>('saved')
  /** What was refused, beside the field that asked for it. */
  refused = $state('')
  samples = $state.raw<SampleItem[]>([])
  sample = $state('')
  fields = $state.raw<FieldsView>()
  enabled = $state(false)
  live = $state('') // the version that runs
  triggers = $state.raw<string[]>([]) // and the ids of its triggers
  /** Where a click in the data panel puts its value. */
  target: ((path: string) => void) | undefined
  /** The step (its path) whose app is to be connected as soon as it is shown. */
  connecting = $state('')
  /** The test run of the whole draft. */
  test = $state.raw<FollowedRun>()
  private queue: Promise<void> = Promise.resolve()
  private waiting = 0 // edits
  private reaching = 0 // calls that edits need
  private off: (() => void)[] = []
  private fieldsTurn = 0
  private step = ''
  stopped = false

  constructor(readonly id: string) {}

  get model() {
    return this.draft?.model
  }
  get labels(): Record<string, string> {
    const out: Record<string, string> = {}
    const walk = (fields: Field[] | null | undefined) => {
      for (const f of fields ?? []) {
        out[f.path] = f.label
        walk(f.children)
      }
    }
    for (const g of this.fields?.groups ?? []) walk(g.fields)
    return out
  }

  async open(): Promise<void> {
    try {
      this.draft = await api('GET /drafts/{id}', { path: { id: this.id } })
      this.error = undefined
      if (this.draft.published) void this.loadWorkflow()
      await this.loadSamples()
    } catch (e) {
      this.error = e
    }
  }

  follow() {
    this.off.push(
      stream.on([`draft:${this.id}`, `deliveries:${this.id}`, 'workflows'], (e) => {
        if (e.type === 'draft.changed' && e.data.rev !== this.draft?.rev && this.waiting === 0) void this.refresh()
        else if (e.type === 'delivery.received' && e.data.workflow === this.id) void this.caught(String(e.data.delivery))
        else if (e.type === 'workflow.changed' && (e.data.workflow ?? e.data.id) === this.id) {
          void this.loadWorkflow()
          if (this.waiting === 0) void this.refresh()
        } else if (e.type === 'reset' && this.waiting === 0) {
          void this.refresh()
          void this.loadSamples()
        }
      }),
    )
  }
  stop() {
    this.stopped = true
    this.test?.stop()
    for (const f of this.off) f()
  }

  async refresh(): Promise<void> {
    try {
      this.take(await api('GET /drafts/{id}', { path: { id: this.id } }))
    } catch {
      // what is shown stays; the next edit tells
    }
  }
  async loadWorkflow(): Promise<void> {
    try {
      const w = await api('GET /workflows/{id}', { path: { id: this.id } })
      this.enabled = w.enabled
      this.live = w.version
      this.triggers = w.triggers.map((x) => x.id)
    } catch {
      this.enabled = false
      this.live = ''
    }
  }

  /** An event came in while somebody watches: it is chosen at once. */
  arrived = $state<SampleItem>()
  private async caught(delivery: string) {
    await this.loadSamples()
    const found = this.samples.find((s) => s.id === 'delivery:' + delivery || s.id.endsWith(delivery))
    if (!found) return
    this.arrived = found
    if (found.outcome !== 'refused' && !this.samples.some((s) => s.pinned)) await this.choose(found.id)
  }
  async loadSamples(): Promise<void> {
    try {
      const page = await api('GET /drafts/{id}/samples', { path: { id: this.id }, query: {} })
      this.samples = page.items
      if (!this.sample || !page.items.some((s) => s.id === this.sample)) {
        this.sample = (page.items.find((s) => s.pinned) ?? page.items.find((s) => s.outcome !== 'refused'))?.id ?? ''
      }
      await this.loadFields(this.step)
    } catch {
      this.samples = []
    }
  }
  async choose(id: string): Promise<void> {
    this.sample = id
    await this.loadFields(this.step)
  }
  /** What a poll of the draft found when it was last asked, by the id of the trigger; and the one that is being asked. */
  fetched = $state.raw<Record<string, FetchedSample>>({})
  fetching = $state('')
  async fetch(trigger: string): Promise<void> {
    if (this.fetching) return
    this.fetching = trigger
    try {
      await this.settled()
      const got = await api('POST /drafts/{id}/fetch', { path: { id: this.id }, body: { trigger } })
      this.fetched = { ...this.fetched, [trigger]: got }
      if (got.sample) {
        await this.loadSamples()
        await this.choose(got.sample)
      }
    } catch (e) {
      const { [trigger]: _, ...rest } = this.fetched
      this.fetched = rest
      toasts.fail(e)
    } finally {
      this.fetching = ''
    }
  }
  /** The data that a step can use, with the values of the chosen event. */
  async loadFields(step: string): Promise<void> {
    this.step = step
    const turn = ++this.fieldsTurn
    try {
      const got = await api('GET /drafts/{id}/fields', { path: { id: this.id }, query: { step, sample: this.sample } as never })
      if (turn === this.fieldsTurn) this.fields = got
    } catch {
      if (turn === this.fieldsTurn) this.fields = undefined
    }
  }

  /** The draft and the data below a step, after it was tried. */
  async refreshFields(): Promise<void> {
    await this.refresh()
    await this.loadFields(this.step)
  }

  /** Runs the whole draft with the chosen event and follows what becomes of each step. */
  async testAll(mode: 'pretend' | 'really'): Promise<void> {
    await this.settled()
    const { run } = await api('POST /drafts/{id}/test', { path: { id: this.id }, body: { mode, sample: this.sample || undefined } })
    this.test?.stop()
    this.test = new FollowedRun(run)
  }
  async stopTest(): Promise<void> {
    try {
      if (this.test) await api('POST /runs/{id}/cancel', { path: { id: this.test.id } })
    } catch (e) {
      toasts.fail(e)
    }
  }
  closeTest() {
    this.test?.stop()
    this.test = undefined
  }
  /** What the test of the draft did with a step, by its id in runs. */
  get tested(): Map<string, string> {
    return new Map(this.test?.run ? stepsOf(this.test.run).map((s) => [s.id, s.status]) : [])
  }

  /** Whether the test went along the list of steps at a path of the model; undefined: it has not decided, or never can. */
  taken(list: string): boolean | undefined {
    return wentAlong(this.model, this.test?.run, list)
  }

  take(draft: DraftView) {
    const before = this.draft?.text
    this.draft = draft
    if (before !== draft.text) void this.loadFields(this.step)
  }

  /** Makes edits, all or none, one after another with what was asked before. */
  edit(...ops: Op[]): Promise<boolean> {
    return this.enqueue((rev) => api('PATCH /drafts/{id}', { path: { id: this.id }, ifMatch: rev, body: { ops } }))
  }
  /** A text that was typed while somebody else changed the draft: it was not saved, and waits for a decision. */
  overtaken = $state<string>()
  /** Replaces the whole text. `on` is the text that was changed: where the draft has another by then, nothing is lost. */
  setText(text: string, on?: string): Promise<boolean> {
    if (this.overtaken !== undefined) {
      this.overtaken = text
      return Promise.resolve(false)
    }
    return this.enqueue(
      (rev) => {
        if (on !== undefined && on !== this.draft?.text) throw new ApiError(412, {})
        return api('PUT /drafts/{id}/text', { path: { id: this.id }, ifMatch: rev, body: { text } })
      },
      () => (this.overtaken = text),
    )
  }
  /** Ends what overtaken began: my text over theirs, which stays in the list of edits, or theirs. */
  settle(use: 'mine' | 'theirs'): Promise<boolean> {
    const text = this.overtaken ?? ''
    this.overtaken = undefined
    return use === 'mine' ? this.setText(text) : Promise.resolve(true)
  }
  undo(): Promise<boolean> {
    return this.enqueue((rev) => api('POST /drafts/{id}/undo', { path: { id: this.id }, ifMatch: rev }))
  }
  redo(): Promise<boolean> {
    return this.enqueue((rev) => api('POST /drafts/{id}/redo', { path: { id: this.id }, ifMatch: rev }))
  }
  resolve(use: 'mine' | 'theirs'): Promise<boolean> {
    return this.enqueue((rev) => api('POST /drafts/{id}/resolve', { path: { id: this.id }, ifMatch: rev, body: { use } }))
  }
  /** Makes the text of a version the draft. */
  restore(version: string): Promise<boolean> {
    return this.enqueue(() => api('POST /workflows/{id}/versions/{version}/restore', { path: { id: this.id, version } }))
  }
  /** What was typed and is no edit yet, because more may be typed: each makes its edit when it is called. */
  readonly unsent = new Set<() => Promise<void> | void>()
  /** Makes edits of what was typed, and waits until everything is saved. */
  async settled(): Promise<void> {
    await Promise.all([...this.unsent].map((write) => write()))
    await this.queue
  }

  /** Makes a call whose answer an edit needs. Like an edit it waits for a server that is away; wanted says whether
   *  anybody still waits for it. */
  async reach<T>(call: () => Promise<T>, wanted: () => boolean): Promise<T | undefined> {
    this.reaching++
    try {
      while (wanted() && !this.stopped) {
        try {
          return await call()
        } catch (e) {
          if (!away(e)) throw e
          this.save = 'offline'
          await new Promise((resolve) => setTimeout(resolve, 1000))
        }
      }
      return undefined
    } finally {
      this.reaching--
      if (this.reaching === 0 && this.waiting === 0) this.save = 'saved'
    }
  }

  private enqueue(work: Work, stale?: () => void): Promise<boolean> {
    this.waiting++
    this.save = 'saving'
    const result = this.queue.then(() => this.perform(work, stale))
    this.queue = result.then(
      () => undefined,
      () => undefined,
    )
    return result.finally(() => {
      this.waiting--
      if (this.waiting === 0 && this.save === 'saving') this.save = 'saved'
    })
  }

  private async perform(work: Work, stale?: () => void): Promise<boolean> {
    for (;;) {
      if (this.stopped && this.save === 'offline') return false
      try {
        this.take(await work(this.draft?.rev ?? ''))
        this.refused = ''
        this.save = 'saving'
        return true
      } catch (e) {
        if (isAbort(e)) return false
        if (away(e)) {
          this.save = 'offline'
          await new Promise((resolve) => setTimeout(resolve, 1000))
          continue
        }
        this.save = 'saving'
        if (isStale(e)) {
          stale?.()
          await this.refresh()
          if (!stale) toasts.say(t('editor.changed_elsewhere'), undefined, 'err')
          return false
        }
        this.refused = e instanceof Error ? e.message : String(e)
        toasts.fail(e)
        return false
      }
    }
  }

  /** What texts and expressions give with the chosen event, as a step sees it. */
  async evaluate(step: string, items: { expr?: string; template?: string }[]): Promise<Evaluated[]> {
    const got = await api('POST /expressions/evaluate', { body: { draft: this.id, sample: this.sample || undefined, step: step || undefined, items } as never })
    return got.items
  }

  card(entry: OutlineEntry): Card | undefined {
    return this.model?.cards[entry.path]
  }
}

export { fieldOf, lineOf, listLine, listTitle, titleOf, placesOf, textOf, type Place } from './outline'
