import { Component, type ReactNode } from "react";

/** What is shown when the page itself fails. */
export class Boundary extends Component<{ children: ReactNode }, { error: Error | null }> {
  override state = { error: null as Error | null };

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override render() {
    if (!this.state.error) return this.props.children;
    return (
      <main className="notice">
        <h1>This page has failed</h1>
        <p>Your messages are kept, and what you typed is too. Loading the page again brings them back.</p>
        <p className="faint">{this.state.error.message}</p>
        <button type="button" className="primary" onClick={() => location.reload()}>
          Load the page again
        </button>
      </main>
    );
  }
}
