// The address is the state: every screen can be linked.
import { tick } from 'svelte'

export { match, path, type Match } from './address'

class Router {
  path = $state(location.pathname)
  search = $state(location.search)
  hash = $state(location.hash)
  query = $derived(new URLSearchParams(this.search))
  /** Asked before leaving; false keeps the page. */
  guard: ((to: string) => boolean) | undefined

  constructor() {
    addEventListener('popstate', () => this.read())
    document.addEventListener('click', (e) => {
      const a = (e.target as Element | null)?.closest?.('a')
      if (!a || e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return
      if (a.target || a.hasAttribute('download') || a.origin !== location.origin) return
      if (a.pathname.startsWith('/api/') || a.pathname.startsWith('/hooks/')) return
      e.preventDefault()
      this.go(a.pathname + a.search + a.hash)
    })
  }

  private read() {
    this.path = location.pathname
    this.search = location.search
    this.hash = location.hash
  }

  /** Opens an address of the application. The heading of a new page takes the focus, so that readers hear where they are. */
  go(to: string, how: { replace?: boolean } = {}) {
    const before = location.pathname
    history[how.replace ? 'replaceState' : 'pushState'](null, '', to)
    this.read()
    if (location.pathname !== before) {
      scrollTo(0, 0)
      void this.focusHeading()
    }
  }

  private async focusHeading() {
    for (let i = 0; i < 50; i++) {
      await tick()
      const heading = document.querySelector<HTMLElement>('main h1')
      if (heading) {
        if (document.activeElement && document.activeElement !== document.body && document.activeElement.closest('main')) return
        heading.tabIndex = -1
        heading.focus({ preventScroll: true })
        return
      }
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }

  /** Changes parts of the query; an empty value removes its name. The page stays. */
  set(changes: Record<string, string | undefined>, how: { push?: boolean } = {}) {
    const query = new URLSearchParams(location.search)
    for (const [name, value] of Object.entries(changes)) {
      if (value) query.set(name, value)
      else query.delete(name)
    }
    const text = query.toString()
    const to = location.pathname + (text ? '?' + text : '') + location.hash
    if (to === location.pathname + location.search + location.hash) return
    history[how.push ? 'pushState' : 'replaceState'](null, '', to)
    this.read()
  }
}

export const router = new Router()
