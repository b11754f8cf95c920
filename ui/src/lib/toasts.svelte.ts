import { messageOf } from './api'

export interface Toast {
  id: number
  text: string
  look: 'plain' | 'err'
  action?: { label: string; run: () => void }
}

class Toasts {
  list = $state<Toast[]>([])
  private next = 1

  /** Says something for ten seconds, with at most one thing to do about it. */
  say(text: string, action?: Toast['action'], look: Toast['look'] = 'plain') {
    const id = this.next++
    this.list = [...this.list.slice(-2), { id, text, look, action }]
    setTimeout(() => this.remove(id), 10_000)
  }
  fail(e: unknown) {
    this.say(messageOf(e), undefined, 'err')
  }
  remove(id: number) {
    this.list = this.list.filter((toast) => toast.id !== id)
  }
}

export const toasts = new Toasts()
