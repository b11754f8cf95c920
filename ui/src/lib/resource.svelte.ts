// A value that a page fetches: what it is, whether it is on its way, what went wrong. A newer load wins over an older one,
// and what was there stays while it is fetched again.
import { isAbort } from './api'

export class Resource<T> {
  value = $state.raw<T>()
  error = $state.raw<unknown>()
  /** On its way for more than 150 ms and nothing to show yet: time for a skeleton. */
  slow = $state(false)
  busy = $state(false)

  private turn = 0
  private abort: AbortController | undefined

  constructor(private readonly fetcher: (signal: AbortSignal) => Promise<T>) {}

  load = async (): Promise<void> => {
    const turn = ++this.turn
    this.abort?.abort()
    this.abort = new AbortController()
    this.busy = true
    const timer = setTimeout(() => {
      if (turn === this.turn && this.value === undefined) this.slow = true
    }, 150)
    try {
      const value = await this.fetcher(this.abort.signal)
      if (turn !== this.turn) return
      this.value = value
      this.error = undefined
    } catch (e) {
      if (turn !== this.turn || isAbort(e)) return
      this.error = e
    } finally {
      clearTimeout(timer)
      if (turn === this.turn) {
        this.slow = false
        this.busy = false
      }
    }
  }

  stop = () => {
    this.turn++
    this.abort?.abort()
    this.busy = false
  }
}
