// What a step really does when it is tried: the words of the button that confirms it, and of what came of it.
import type { ActionItem } from './api.types'

export type Effect = 'none' | 'message' | 'email' | 'request' | 'change'

/** Of an action that only reads: none, so nothing has to be confirmed. The server has the last word: it refuses a call
 *  that does more than read and that nobody confirmed. */
export function effectOf(action: Pick<ActionItem, 'id' | 'safe' | 'by_input'> | undefined, app: string, input: Record<string, unknown> = {}): Effect {
  if (!action) return 'change' // nothing is known of it
  if (app === 'http') return /^(get|head|options)$/i.test(String(input.method ?? 'GET')) ? 'none' : 'request'
  if (action.safe && !action.by_input) return 'none'
  if (app === 'email' || /(^|_)e?mail(_|$)/.test(action.id)) return 'email'
  if (/^(send|post)_(.*_)?(message|webhook|sms|dm|template)$/.test(action.id)) return 'message'
  return 'change'
}

/** Steps that are tried alone; the others have steps inside, or only wait. */
export const triedAlone = (kind: string): boolean => ['filter', 'set', 'use', 'respond', 'stop', 'approve', 'call'].includes(kind)
