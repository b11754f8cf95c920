// A sign-in at another system, in a window of its own. The page that the provider sends people back to tells this one
// how it went; where it cannot (the window was opened elsewhere, or blocked) the server is asked.
import { api, isGone, messageOf } from './api'
import { t } from './i18n'

export interface SignIn {
  name: string
  connector?: string
  auth?: string
  values?: Record<string, unknown>
}

export class SigningIn {
  /** Where to go by hand, when the browser opened no window. */
  url = $state('')
  /** What to enter there (device flow). */
  code = $state('')
  error = $state('')
  busy = $state(false)
  private stopped = false
  private timer: ReturnType<typeof setTimeout> | undefined
  private off: (() => void) | undefined

  /** Call it in the handler of a click: only then a browser opens a window. Resolves when the person is back. */
  async start(what: SignIn): Promise<boolean> {
    this.stop()
    this.stopped = false
    this.error = this.url = this.code = ''
    this.busy = true
    const popup = window.open('about:blank', 'bellhop-sign-in', 'popup,width=560,height=720')
    try {
      const begun = await api('POST /oauth', { body: what })
      this.code = begun.code ?? ''
      if (popup && !popup.closed) popup.location.href = begun.url
      if (!popup || this.code) this.url = begun.url
      return await this.wait(begun.state)
    } catch (e) {
      popup?.close()
      this.error = messageOf(e)
      return false
    } finally {
      this.stop()
    }
  }

  private wait(state: string): Promise<boolean> {
    return new Promise((resolve) => {
      const ask = async () => {
        clearTimeout(this.timer)
        if (this.stopped) return resolve(false)
        try {
          const now = await api('GET /oauth/{state}', { path: { state } })
          if (now.done) {
            this.error = now.ok ? '' : (now.reason ?? t('connections.sign_in_failed'))
            return resolve(now.ok)
          }
        } catch (e) {
          if (isGone(e)) {
            this.error = messageOf(e)
            return resolve(false)
          }
        }
        this.timer = setTimeout(ask, 1500)
      }
      const heard = (e: MessageEvent) => {
        if (e.origin === location.origin && (e.data as { type?: string })?.type === 'bellhop.signed-in') void ask()
      }
      addEventListener('message', heard)
      this.off = () => removeEventListener('message', heard)
      void ask()
    })
  }

  stop = () => {
    this.stopped = true
    this.busy = false
    clearTimeout(this.timer)
    this.off?.()
  }
}
