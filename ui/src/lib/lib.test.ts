import { describe, expect, it } from 'vitest'
import { RunList, sinceOf } from './runs.svelte'
import { effectOf } from './effect'
import { complete, withTest, withValue } from './filter'
import { formatDuration, labelOf } from './format'
import { told } from './problems'
import { parse, t } from './i18n'
import { match } from './address'
import { asExpression, asTemplate, child, partsOf } from './template'
import { monogram, tileHue } from './tile'
import { lineOf, titleOf } from './outline'
import type { Card, OutlineEntry, WorkflowItem } from './api.types'
import { callName } from './workflows'

describe('templates', () => {
  it.each([
    ['Hi ${{ trigger.body.name }}!', [['text', 'Hi '], ['expr', 'trigger.body.name'], ['text', '!']]],
    ['$${{ not data }}', [['text', '${{ not data }}']]],
    ['${{ {a: "}}"}.a }}', [['expr', '{a: "}}"}.a']]],
    ['${{ open', [['text', '${{ open']]],
    ['', []],
  ])('%s', (template, want) => {
    expect(partsOf(template).map((p) => (p.expr === undefined ? ['text', p.text] : ['expr', p.expr]))).toEqual(want)
  })
  it('quotes keys that are no words', () => {
    expect(child('steps.a.with', 'json')).toBe('steps.a.with.json')
    expect(child('steps.a.with.headers', 'x.y')).toBe('steps.a.with.headers["x.y"]')
  })
})

describe('expressions that stand by themselves', () => {
  it('show data as a pill and are written without its marks', () => {
    expect(asTemplate('trigger.body.items')).toBe('${{ trigger.body.items }}')
    expect(asTemplate('filter(trigger.body.items, .n > 1)')).toBe('filter(trigger.body.items, .n > 1)')
    expect(asExpression('${{ trigger.body.items }}')).toBe('trigger.body.items')
    expect(asExpression('len(${{ trigger.body.items }}) > 1')).toBe('len(trigger.body.items) > 1')
    expect(asTemplate('')).toBe('')
  })
})

describe('what a step does when it is tried', () => {
  const action = (id: string, safe: boolean, by_input = false) => ({ id, safe, by_input })
  it.each([
    [undefined, 'crm', {}, 'change'], // an action that is not known is not taken for one that reads
    [action('list_contacts', true), 'crm', {}, 'none'],
    [action('delete_contact', false), 'crm', {}, 'change'],
    [action('post_message', false), 'slack', {}, 'message'],
    [action('send', false), 'email', {}, 'email'],
    [action('query', true, true), 'crm', {}, 'change'],
    [action('request', true, true), 'http', { method: 'GET' }, 'none'],
    [action('request', true, true), 'http', {}, 'none'],
    [action('request', true, true), 'http', { method: 'POST' }, 'request'],
    [action('request', true, true), 'http', { method: '${{ trigger.body.how }}' }, 'request'],
  ] as const)('%o of %s with %o: %s', (what, app, input, want) => {
    expect(effectOf(what, app, input)).toBe(want)
  })
})

describe('addresses', () => {
  it('keeps an id with a slash in one part', () => {
    expect(match(['/workflows/:id'], '/workflows/billing%2Finvoice')).toEqual({ route: '/workflows/:id', params: { id: 'billing/invoice' } })
    expect(match(['/workflows/:id'], '/workflows/billing/invoice')).toBeUndefined()
    expect(match(['/workflows/new', '/workflows/:id'], '/workflows/new')?.route).toBe('/workflows/new')
    expect(match(['/workflows/:id'], '/workflows/%E0%A4%A')).toBeUndefined()
  })
})

describe('texts', () => {
  it('counts', () => {
    expect(t('workflows.count', { count: 1 })).toBe('1 workflow')
    expect(t('workflows.count', { count: 1200 })).toBe('1,200 workflows')
  })
  it.each(['{a, plural, one {x}}', '{a, odd, other {x}}', 'a } b'])('refuses %s', (text) => {
    expect(() => parse(text)).toThrow()
  })
})

describe('words', () => {
  it.each([
    [0.4, '<1 ms'],
    [342, '342 ms'],
    [4230, '4.2 s'],
    [184_000, '3 min 4 s'],
    [7_500_000, '2 h 5 min'],
  ])('%f ms', (ms, want) => {
    expect(formatDuration(ms)).toBe(want)
  })
  it('makes labels of names', () => {
    expect(labelOf('customer_name')).toBe('Customer name')
    expect(labelOf('customerName')).toBe('Customer name')
    expect(labelOf('x.y')).toBe('x.y')
  })
  it('says of a new step what comes next, and of a mistake what it is', () => {
    const say = (message: string, hint?: string) => told({ message, hint })
    expect(say('set has no value', 'give it one or remove the line')).toEqual({ text: 'editor.todo_set', hint: '', todo: true })
    for (const message of ['for_each has at least one step', 'slack.post_message needs the input channel', 'url is empty', '"" cannot be part of a workflow id: use a-z']) expect(say(message).todo).toBe(true)
    expect(say('there is no workflow "a"', 'did you mean b?')).toEqual({ text: 'There is no workflow "a".', hint: 'Did you mean b?', todo: false })
    expect(say('there is no step "a"', 'did you mean b?')).toEqual({ text: 'editor.gone_step', hint: '', todo: false })
    expect(say('a workflow has at least one step').text).toBe('editor.todo_first')
    expect(say('name has no value').todo).toBe(false)
  })
  it('makes monograms', () => {
    expect([monogram('Google Sheets'), monogram('GitHub'), monogram('slack'), monogram('')]).toEqual(['GS', 'GH', 'Sl', '·'])
    for (const name of ['slack', 'hubspot', 'stripe', 'github', 'asana', 'desk', 'a', '']) expect([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]).toContain(tileHue(name))
  })
})

describe('a card of the list of steps', () => {
  const entry = (kind: string, value: unknown, name?: string) => ({ kind, fields: [{ key: kind, value }, ...(name ? [{ key: 'name', value: name }] : [])] }) as unknown as OutlineEntry
  const card = (title: string, summary: string, connector = '') => ({ title, summary, connector }) as Card
  it('has the words of the page, not those of the file', () => {
    expect(titleOf(entry('poll', {}), card('Poll', ''))).toBe('Check for new items')
    expect(titleOf(entry('set', {}, 'Mine'), card('Mine', ''))).toBe('Mine')
    expect(titleOf(entry('use', 'slack.post_message'), card('Post a message', '', 'slack'))).toBe('Post a message')
    expect(lineOf(entry('for_each', { in: null }), card('', 'each of null'))).toBe('')
    expect(lineOf(entry('approve', {}), card('', 'Refund ${{ steps.prep.total_sum }} for ${{ trigger.body.name }}?'))).toBe('Refund Total sum for Name?')
    expect(lineOf(entry('poll', { use: 'http.request' }), card('', 'http.request'))).toBe('http')
    expect(lineOf(entry('wait', { for: '2h' }), card('', '2h'))).toBe('2h')
  })
})

describe('filter rows', () => {
  it('waits for unfinished rows', () => {
    const rows = { match: 'all' as const, items: [{ field: 'a', test: 'greater', type: 'number' as const, value: '1x' }, { field: 'b', test: 'is_empty', type: 'text' as const }, { field: '', test: 'is' }] }
    expect(complete(rows).items.map((r) => r.field)).toEqual(['b'])
  })
  it('reads numbers and lists', () => {
    expect(withValue({ field: 'a', test: 'greater' }, '200', 'number').value).toBe(200)
    expect(withValue(withTest({ field: 'a', test: 'is', value: 'x' }, 'one_of'), 'x, y', 'text').value).toEqual(['x', 'y'])
  })
})

describe('the list of runs', () => {
  const rows = Array.from({ length: 1050 }, (_, i) => ({ id: String(i) }))
  const server = async (q: Record<string, unknown>) => {
    const from = (q.cursor ? Number(q.cursor) + 1 : 0) + Number(q.skip ?? 0)
    const items = rows.slice(from, from + 200)
    return { items, next: from + 200 < rows.length ? items.at(-1)!.id : '' } as never
  }
  it('goes by cursor and jumps', async () => {
    const list = new RunList({}, server)
    await list.want(0, 30)
    expect([list.at(0)?.id, list.at(199)?.id, list.known, list.complete]).toEqual(['0', '199', 200, false])
    await list.want(1040, 1049)
    expect([list.at(1049)?.id, list.at(500), list.known, list.complete]).toEqual(['1049', undefined, 1050, true])
    await list.want(400, 430)
    expect(list.at(420)?.id).toBe('420')
  })
  it('is as long as is known, and one page longer while nobody has counted all', async () => {
    const list = new RunList({}, server)
    expect(list.length(undefined)).toBe(0)
    await list.want(0, 30)
    expect([list.length(undefined), list.length({ total: 1050, partial: false }), list.length({ total: 600, partial: true })]).toEqual([400, 1050, 800])
    await list.want(1040, 1049)
    expect(list.length({ total: 600, partial: true })).toBe(1050)
  })
  it('forgets what was not looked at for long', async () => {
    const list = new RunList({}, async (q) => ({ items: rows.slice(0, 200), next: String(Number(q.cursor || 0) + 199) }) as never)
    for (let i = 0; i < 20; i++) await list.want(i * 200, i * 200 + 10)
    expect([list.at(0), list.at(19 * 200) !== undefined]).toEqual([undefined, true])
  })
  it('reads relative times', () => {
    expect(sinceOf('12h', Date.parse('2026-03-01T12:00:00Z'))).toBe('2026-03-01T00:00:00.000Z')
    expect(sinceOf('2026-03-01T00:00:00Z')).toBe('2026-03-01T00:00:00Z')
  })
})

describe('how a workflow is called', () => {
  const items = [{ id: 'a', name: 'Orders' }, { id: 'b', name: 'Orders' }, { id: 'c', name: 'Leads' }] as WorkflowItem[]
  it('is its name, with the id where names repeat, and the id alone where it is not known', () => {
    expect(['a', 'c', 'gone'].map((id) => callName(id, items))).toEqual(['Orders (a)', 'Leads', 'gone'])
  })
})
