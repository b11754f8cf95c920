// One run as it goes on. It is fetched when the stream says that something happened to it, until it has ended or until
// whoever made this calls stop.
import { api } from './api'
import type { RunDetail } from './api.types'
import { stream } from './events.svelte'

export class FollowedRun {
  run = $state.raw<RunDetail>()
  private readonly abort = new AbortController()
  private readonly off: () => void
  private busy = false
  private again = false

  constructor(readonly id: string) {
    this.off = stream.on(
      [`run:${id}`],
      (e) => {
        if (e.type === 'reset' || e.data.run === id || e.data.id === id) void this.load()
      },
      () => void this.load(), // it may have gone on before the stream listened
    )
  }
  stop() {
    this.off()
    this.abort.abort()
  }

  /** One fetch at a time; what happens during one is fetched after it. */
  private async load(): Promise<void> {
    this.again = this.busy
    if (this.busy) return
    this.busy = true
    try {
      this.run = await api('GET /runs/{id}', { path: { id: this.id }, signal: this.abort.signal })
    } catch {
      // stopped; or the server is away, and the stream tells when it is back
    }
    this.busy = false
    if (this.abort.signal.aborted) return
    if (this.run?.finished_at) this.off()
    else if (this.again) await this.load()
  }
}
