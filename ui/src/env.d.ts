declare module 'virtual:messages/index' {
  const loaders: Record<string, () => Promise<{ default: Record<string, string> }>>
  export default loaders
}
declare module 'virtual:messages/en/core' {
  const messages: Record<string, string>
  export default messages
}
