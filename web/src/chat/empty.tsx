import { Logo } from "../ui/icon.tsx";

/** A thread in which nobody has written. */
export function Empty({ isLoaded }: { isLoaded: boolean }) {
  return (
    <div className="empty">
      {isLoaded ? (
        <>
          <Logo />
          <h2>Nothing has been said here yet</h2>
          <p>Write the first message below. The session is stored from then on, and the answer streams to every tab and device that has it open.</p>
        </>
      ) : (
        <p className="loading">Opening the session</p>
      )}
    </div>
  );
}
