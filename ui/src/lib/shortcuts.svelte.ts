// The keys that work on every page. Those of single letters are off while something is typed, and can be switched off.
import { router } from './router.svelte'

const name = 'bellhop.letters'
const pages: Record<string, string> = { w: '/workflows', r: '/runs', q: '/waiting', d: '/deliveries', c: '/connections', s: '/settings' }

class Shortcuts {
  /** What is open over the page. */
  open = $state<'' | 'menu' | 'keys'>('')
  letters = $state(true)
  private before = { key: '', at: 0 }

  constructor() {
    try {
      this.letters = localStorage.getItem(name) !== 'off'
    } catch {
      // then they are on
    }
  }

  set(on: boolean) {
    this.letters = on
    try {
      if (on) localStorage.removeItem(name)
      else localStorage.setItem(name, 'off')
    } catch {
      // it holds for this page
    }
  }

  keydown = (e: KeyboardEvent) => {
    if ((e.ctrlKey || e.metaKey) && !e.shiftKey && !e.altKey && e.key.toLowerCase() === 'k') {
      e.preventDefault()
      this.open = this.open === 'menu' ? '' : 'menu'
      return
    }
    if (!this.letters || e.ctrlKey || e.metaKey || e.altKey || e.defaultPrevented || this.open) return
    if ((e.target as Element).closest?.('input, textarea, select, [contenteditable=true], [role=textbox], [role=menu], dialog')) return
    if (e.key === '?') this.open = 'keys'
    else if (this.before.key === 'g' && e.timeStamp - this.before.at < 1500 && pages[e.key]) router.go(pages[e.key]!)
    else {
      this.before = { key: e.key, at: e.timeStamp }
      return
    }
    this.before.key = ''
    e.preventDefault()
  }
}

export const shortcuts = new Shortcuts()
