//! A camera's life as a pure state machine: events go in, actions come out.

use crate::backoff::Backoff;
use crate::monitor::CameraState;
use std::time::Duration;

/// The timeouts of a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// The longest time from the attempt to connect to the first picture.
    pub connect: Duration,
    /// The longest time from one picture to the next.
    pub silence: Duration,
    /// A camera that has played for this long has recovered: its next failure counts as the first.
    pub settled: Duration,
    pub backoff: Backoff,
    /// The delays after refused logins: cameras lock accounts and addresses after a few.
    pub refusal: Backoff,
}

impl Patience {
    /// How long data may come without a key frame. After that none is expected, and the data is decoded: some cameras
    /// refresh the picture part by part instead.
    pub fn key_frame(&self) -> Duration {
        3 * self.connect
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(5),
            settled: Duration::from_secs(10),
            backoff: Backoff { first: Duration::from_millis(500), longest: Duration::from_secs(5) },
            refusal: Backoff { first: Duration::from_secs(2 * 60), longest: Duration::from_secs(15 * 60) },
        }
    }
}

/// The state of a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Its models and outputs are being opened.
    Opening,
    /// The source was started; no picture has come yet.
    Connecting,
    Playing,
    /// No picture came for too long; the source is being closed.
    Stalled,
    /// The source failed or ended, and is being closed.
    Lost,
    /// The camera refused the login, and the source is being closed.
    Refused,
    /// Models or outputs failed; all of the pipeline is being closed.
    Broken,
    /// Waiting for the next attempt.
    Waiting,
    /// Its models or outputs can't be opened.
    Failed,
    /// Asked to stop; the pictures in flight are being finished.
    Stopping,
    Stopped,
}

/// What happened to a camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Models and outputs are open and the pipeline plays; this may be reported repeatedly.
    Opened,
    CantOpen(String),
    /// The source may be opened now.
    SourceDue,
    /// The source's first picture came.
    FirstPicture,
    /// No picture came for this long, which is the timeout.
    Silence(Duration),
    /// Pictures come, but none can be decoded for lack of a key frame.
    NoKeyFrame(String),
    /// The source failed, or ended unexpectedly.
    SourceLost(String),
    /// The source has nothing that can be played, and never will.
    Unplayable(String),
    /// The camera refuses the user name and password.
    LoginRefused(String),
    /// The source has ended, as expected.
    Ended,
    /// An element after the source failed.
    AnalysisLost(String),
    SourceClosed,
    /// The wait is over.
    WaitOver,
    /// The configuration was read again: a refused login may be tried at once.
    Retry,
    Stop,
    /// The pictures in flight came out at the end, or took too long.
    Drained,
    PipelineClosed,
}

/// What is to be done. None of it blocks here: each action ends with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    OpenPipeline,
    ClosePipeline,
    OpenSource,
    CloseSource,
    /// Watch for pictures: at most this long without one.
    Watch(Duration),
    /// Report [`Event::WaitOver`] after this time.
    Wait(Duration),
    /// End the stream, and finish the pictures in flight.
    Drain,
    /// The camera plays again after it was lost.
    CountReconnect,
    /// The camera has ended completely.
    Forget,
}

/// The remedy for a camera that is slow by nature.
const SLOWER: &str = " (a slower camera needs a longer STALL_TIMEOUT_S)";

/// A camera's state, and what it remembers.
#[derive(Debug)]
pub struct Lifecycle {
    patience: Patience,
    state: State,
    /// Why it isn't playing.
    reason: Option<String>,
    /// Consecutive failures.
    failures: u32,
    /// Consecutive refused logins.
    refusals: u32,
    /// The last failure was a refused login.
    refused: bool,
    /// The time on the caller's clock before which no login is tried, whatever happens meanwhile, and why.
    login_after: Option<(Duration, String)>,
    /// When it began to play, on the caller's clock.
    playing_since: Option<Duration>,
    /// The pipeline is being opened, which may include building an engine, and the result hasn't been reported.
    opening: bool,
    /// The wait is for another attempt to open the whole pipeline, not only the source.
    reopen: bool,
    /// It has opened before, so a failure to open may be temporary.
    has_opened: bool,
    /// It has played before, so playing again is a reconnection.
    has_played: bool,
}

impl Lifecycle {
    /// Returns a new camera and the first actions.
    pub fn start(patience: Patience) -> (Self, Vec<Action>) {
        let this = Self {
            patience,
            state: State::Opening,
            reason: None,
            failures: 0,
            refusals: 0,
            refused: false,
            login_after: None,
            playing_since: None,
            opening: true,
            reopen: false,
            has_opened: false,
            has_played: false,
        };
        (this, vec![Action::OpenPipeline])
    }

    pub fn patience(&self) -> &Patience {
        &self.patience
    }

    pub fn state(&self) -> State {
        self.state
    }

    /// Whether its models and outputs are being opened, even if it is to stop after that.
    pub fn is_opening(&self) -> bool {
        self.opening
    }

    /// Why it isn't playing, where there is a reason.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// The state as the monitor shows it.
    pub fn shown(&self) -> CameraState {
        match self.state {
            State::Waiting if self.login_after.is_some() => CameraState::Refused,
            State::Connecting | State::Refused if self.refused => CameraState::Refused,
            State::Opening | State::Connecting if !self.has_played && self.failures == 0 => CameraState::Starting,
            State::Playing => CameraState::Playing,
            State::Stalled => CameraState::Stalled,
            State::Opening | State::Connecting | State::Lost | State::Refused | State::Broken | State::Waiting => {
                CameraState::Reconnecting
            }
            State::Failed => CameraState::Failed,
            State::Stopping | State::Stopped => CameraState::Stopped,
        }
    }

    /// Handles an event. `now` is any monotonic clock; `random`, 0 to 1, spreads delays. An event that doesn't fit the
    /// state comes too late and is ignored.
    pub fn handle(&mut self, event: Event, now: Duration, random: f64) -> Vec<Action> {
        use State::*;
        let event = match event {
            // An element that can't be opened reports it by itself, at once or when its engine couldn't be built.
            Event::AnalysisLost(reason) if self.state == Opening => Event::CantOpen(reason),
            event => event,
        };
        if matches!(event, Event::Opened | Event::CantOpen(_)) {
            self.opening = false;
        }
        match (self.state, event) {
            (Stopped, _) => vec![],
            (Stopping, Event::Drained) => vec![Action::ClosePipeline],
            (Stopping, Event::PipelineClosed) => self.go(Stopped, None, vec![Action::Forget]),
            (Stopping, _) => vec![],
            // A camera that isn't playing has nothing in flight.
            (Playing, Event::Stop | Event::Ended) => self.go(Stopping, None, vec![Action::Drain]),
            (_, Event::Stop) | (Connecting, Event::Ended) => self.go(Stopping, None, vec![Action::ClosePipeline]),

            (Opening, Event::Opened) => {
                self.has_opened = true;
                self.connect(now)
            }
            (Opening, Event::CantOpen(reason)) if self.has_opened => {
                self.lose(Broken, reason, Action::ClosePipeline, now)
            }
            (Opening, Event::CantOpen(reason)) => self.go(Failed, Some(reason), vec![Action::ClosePipeline]),

            (Connecting, Event::Unplayable(reason)) => self.go(Failed, Some(reason), vec![Action::ClosePipeline]),
            (Connecting, Event::FirstPicture) => {
                self.playing_since = Some(now);
                (self.refusals, self.refused, self.login_after) = (0, false, None);
                let again = std::mem::replace(&mut self.has_played, true);
                let mut actions = vec![Action::Watch(self.patience.silence)];
                actions.extend(again.then_some(Action::CountReconnect));
                self.go(Playing, None, actions)
            }
            // A camera that waited before keeps its reason for the monitor.
            (Connecting, Event::NoKeyFrame(reason)) => self.go(Connecting, Some(reason), vec![]),
            (Connecting, Event::Silence(time)) => {
                let reason = format!("no picture within {time:?} of connecting{SLOWER}");
                self.lose(Lost, reason, Action::CloseSource, now)
            }
            (Playing, Event::Silence(time)) => {
                let reason = format!("no picture for {time:?}{SLOWER}");
                self.lose(Stalled, reason, Action::CloseSource, now)
            }
            (Connecting | Playing, Event::LoginRefused(reason)) => {
                let actions = self.lose(Refused, reason, Action::CloseSource, now);
                self.refused = true;
                self.refusals = self.refusals.saturating_add(1);
                actions
            }
            (Connecting | Playing, Event::SourceLost(reason)) => self.lose(Lost, reason, Action::CloseSource, now),
            (Connecting | Playing | Stalled | Lost | Waiting, Event::AnalysisLost(reason)) => {
                self.lose(Broken, reason, Action::ClosePipeline, now)
            }
            (Refused, Event::SourceClosed) => {
                let wait = self.patience.refusal.wait(self.refusals, random);
                self.login_after = self.reason.clone().map(|reason| (now + wait, reason));
                self.wait(false, wait)
            }
            (Stalled | Lost, Event::SourceClosed) => {
                self.wait(false, self.patience.backoff.wait(self.failures, random))
            }
            (Broken, Event::PipelineClosed) => self.wait(true, self.patience.backoff.wait(self.failures, random)),
            (Waiting, Event::WaitOver) if self.reopen => {
                let reason = self.reason.take();
                self.opening = true;
                self.go(Opening, reason, vec![Action::OpenPipeline])
            }
            (Waiting, Event::WaitOver) => self.connect(now),
            (state, Event::Retry) => {
                let waited = self.login_after.take().is_some();
                if waited && state == Waiting && !self.reopen { self.connect(now) } else { vec![] }
            }
            _ => vec![],
        }
    }

    fn go(&mut self, state: State, reason: Option<String>, actions: Vec<Action>) -> Vec<Action> {
        self.state = state;
        self.reason = reason;
        actions
    }

    fn connect(&mut self, now: Duration) -> Vec<Action> {
        if let Some((at, reason)) = &self.login_after {
            let left = at.saturating_sub(now);
            // Timers round to a millisecond.
            if left > Duration::from_millis(1) {
                self.reason = Some(reason.clone());
                return self.wait(false, left);
            }
            self.login_after = None;
        }
        let reason = self.reason.take();
        self.go(State::Connecting, reason, vec![Action::OpenSource, Action::Watch(self.patience.connect)])
    }

    fn lose(&mut self, state: State, reason: String, action: Action, now: Duration) -> Vec<Action> {
        if self.playing_since.take().is_some_and(|since| now.saturating_sub(since) >= self.patience.settled) {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        self.refused = false;
        self.go(state, Some(reason), vec![action])
    }

    fn wait(&mut self, reopen: bool, time: Duration) -> Vec<Action> {
        self.reopen = reopen;
        let reason = self.reason.take();
        self.go(State::Waiting, reason, vec![Action::Wait(time)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Action::*;

    const SECOND: Duration = Duration::from_secs(1);

    struct Test {
        camera: Lifecycle,
        now: Duration,
    }

    impl Test {
        fn start() -> Self {
            let (camera, actions) = Lifecycle::start(Patience::default());
            assert_eq!(actions, [OpenPipeline]);
            assert_eq!(camera.shown(), CameraState::Starting);
            Self { camera, now: SECOND }
        }

        fn playing() -> Self {
            let mut test = Self::start();
            let patience = Patience::default();
            assert_eq!(test.on(Event::Opened), [OpenSource, Watch(patience.connect)]);
            assert_eq!(test.on(Event::FirstPicture), [Watch(patience.silence)]);
            assert_eq!(test.camera.shown(), CameraState::Playing);
            test
        }

        fn on(&mut self, event: Event) -> Vec<Action> {
            self.camera.handle(event, self.now, 0.0)
        }

        /// Loses the source, and returns the delay before the next attempt.
        fn lose(&mut self) -> Duration {
            assert_eq!(self.on(Event::SourceLost("gone".into())), [CloseSource]);
            assert_eq!(self.camera.reason(), Some("gone"));
            match *self.on(Event::SourceClosed) {
                [Wait(wait)] => wait,
                ref other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_lost_camera_is_tried_again_ever_more_patiently_and_starts_over_once_it_has_settled() {
        let mut test = Test::playing();
        let half = SECOND / 2;
        assert_eq!(test.lose(), half);
        assert_eq!(test.camera.shown(), CameraState::Reconnecting);
        assert_eq!(test.on(Event::WaitOver)[0], OpenSource);
        assert_eq!(test.lose(), SECOND, "it fails again before a picture comes");
        test.on(Event::WaitOver);
        assert_eq!(test.camera.reason(), Some("gone"), "the reason stays until it plays");
        assert_eq!(test.on(Event::FirstPicture), [Watch(Patience::default().silence), CountReconnect]);
        assert_eq!(test.camera.reason(), None);
        test.now += SECOND;
        assert_eq!(test.lose(), 2 * SECOND, "a second of playing settles nothing");
        test.on(Event::WaitOver);
        test.on(Event::FirstPicture);
        test.now += 11 * SECOND;
        assert_eq!(test.lose(), half);
    }

    #[test]
    fn silence_is_noticed_before_and_after_the_first_picture() {
        let mut test = Test::playing();
        assert_eq!(test.on(Event::Silence(5 * SECOND)), [CloseSource]);
        assert_eq!(test.camera.shown(), CameraState::Stalled);
        let reason = test.camera.reason().unwrap();
        assert!(reason.starts_with("no picture for 5s (") && reason.contains("STALL_TIMEOUT_S"), "{reason}");
        assert_eq!(test.on(Event::FirstPicture), [], "a late picture of the old source");
        test.on(Event::SourceClosed);
        test.on(Event::WaitOver);
        assert_eq!(test.on(Event::Silence(10 * SECOND)), [CloseSource]);
        assert_eq!(test.camera.state(), State::Lost);
        assert!(test.camera.reason().unwrap().starts_with("no picture within 10s of connecting ("));
    }

    #[test]
    fn a_refused_login_is_tried_again_after_minutes() {
        let mut test = Test::start();
        test.on(Event::Opened);
        for minutes in [2, 4, 8, 15, 15] {
            let refused = Event::LoginRefused("refused the login (401)".into());
            assert_eq!(test.on(refused), [CloseSource]);
            assert_eq!(test.camera.shown(), CameraState::Refused);
            assert_eq!(test.on(Event::SourceLost("and can't write either".into())), [], "said after it");
            assert_eq!(test.on(Event::SourceClosed), [Wait(minutes * 60 * SECOND)]);
            assert_eq!(
                (test.camera.shown(), test.camera.reason()),
                (CameraState::Refused, Some("refused the login (401)"))
            );
            test.now += minutes * 60 * SECOND;
            assert_eq!(test.on(Event::WaitOver)[0], OpenSource);
            assert_eq!(test.camera.shown(), CameraState::Refused, "it may be refused again");
        }
        // The password is right again, and wrong later.
        test.on(Event::FirstPicture);
        assert_eq!(test.camera.shown(), CameraState::Playing);
        assert_eq!(test.on(Event::LoginRefused("refused the login (403)".into())), [CloseSource]);
        assert_eq!(test.on(Event::SourceClosed), [Wait(120 * SECOND)]);
    }

    #[test]
    fn no_login_is_tried_sooner_for_other_reasons_than_the_operator_s() {
        let refused = || {
            let mut test = Test::start();
            test.on(Event::Opened);
            test.on(Event::LoginRefused("refused".into()));
            test.on(Event::SourceClosed);
            test.now += 10 * SECOND;
            test
        };
        // The outputs break and come back meanwhile.
        let mut test = refused();
        assert_eq!(test.on(Event::AnalysisLost("disk full".into())), [ClosePipeline]);
        assert_eq!(test.camera.shown(), CameraState::Reconnecting);
        test.on(Event::PipelineClosed);
        assert_eq!(test.on(Event::WaitOver), [OpenPipeline]);
        assert_eq!(test.on(Event::Opened), [Wait(110 * SECOND)]);
        assert_eq!((test.camera.shown(), test.camera.reason()), (CameraState::Refused, Some("refused")));
        test.now += 110 * SECOND;
        assert_eq!(test.on(Event::WaitOver)[0], OpenSource);
        // The network is down at the next attempt: it's retried soon, because no login was refused.
        assert_eq!(test.lose(), 2 * SECOND, "the third failure");
        assert_eq!(test.camera.shown(), CameraState::Reconnecting);

        // The configuration was read again.
        let mut test = refused();
        assert_eq!(test.on(Event::Retry)[0], OpenSource);
        assert_eq!(Test::playing().on(Event::Retry), []);
        let mut test = Test::playing();
        test.lose();
        assert_eq!(test.on(Event::Retry), [], "an outage has its own waits");
    }

    #[test]
    fn a_camera_that_sends_no_key_frame_is_said_so_while_it_is_waited_for() {
        let mut test = Test::start();
        test.on(Event::Opened);
        assert_eq!(test.on(Event::NoKeyFrame("no key frame".into())), []);
        assert_eq!((test.camera.state(), test.camera.reason()), (State::Connecting, Some("no key frame")));
        test.on(Event::FirstPicture);
        assert_eq!(test.on(Event::NoKeyFrame("no key frame".into())), []);
        assert_eq!((test.camera.state(), test.camera.reason()), (State::Playing, None));
    }

    #[test]
    fn a_camera_whose_models_never_opened_is_given_up_on() {
        let mut test = Test::start();
        assert_eq!(test.on(Event::CantOpen("no model".into())), [ClosePipeline]);
        assert_eq!(test.camera.shown(), CameraState::Failed);
        assert_eq!(test.on(Event::PipelineClosed), []);
        assert_eq!(test.camera.reason(), Some("no model"));
        assert_eq!(test.on(Event::Stop), [ClosePipeline]);
        assert_eq!(test.on(Event::PipelineClosed), [Forget]);
    }

    #[test]
    fn a_source_with_nothing_to_play_is_given_up_on() {
        let mut test = Test::start();
        test.on(Event::Opened);
        assert_eq!(test.on(Event::Unplayable("no pictures".into())), [ClosePipeline]);
        assert_eq!((test.camera.shown(), test.camera.reason()), (CameraState::Failed, Some("no pictures")));
        assert_eq!(test.on(Event::SourceLost("not linked".into())), [], "what follows from it");
        assert_eq!(test.on(Event::PipelineClosed), []);
    }

    #[test]
    fn what_fails_while_models_are_opened_has_kept_them_from_it() {
        let mut test = Test::start();
        assert!(test.camera.is_opening());
        assert_eq!(test.on(Event::AnalysisLost("no memory for the engine".into())), [ClosePipeline]);
        assert_eq!(test.camera.shown(), CameraState::Failed);
        assert_eq!(test.camera.reason(), Some("no memory for the engine"));
        assert!(!test.camera.is_opening());
        assert_eq!(test.on(Event::CantOpen("again".into())), [], "said twice");
        assert_eq!(test.on(Event::Opened), [], "too late");
    }

    #[test]
    fn an_analysis_that_breaks_is_opened_again_and_again() {
        let mut test = Test::playing();
        assert_eq!(test.on(Event::AnalysisLost("disk full".into())), [ClosePipeline]);
        assert_eq!(test.on(Event::PipelineClosed), [Wait(SECOND / 2)]);
        assert_eq!(test.on(Event::WaitOver), [OpenPipeline]);
        assert_eq!(test.camera.shown(), CameraState::Reconnecting);
        assert_eq!(test.on(Event::CantOpen("disk full".into())), [ClosePipeline]);
        assert_eq!(test.on(Event::PipelineClosed), [Wait(SECOND)]);
        test.on(Event::WaitOver);
        assert_eq!(test.on(Event::Opened)[0], OpenSource);
        // It may also break while nothing plays.
        test.lose();
        assert_eq!(test.on(Event::AnalysisLost("broker gone".into())), [ClosePipeline]);
        assert_eq!(test.on(Event::WaitOver), [], "the wait for the source is void");
    }

    #[test]
    fn stopping_drains_what_plays_and_only_that() {
        let mut test = Test::playing();
        assert_eq!(test.on(Event::Stop), [Drain]);
        assert_eq!(test.on(Event::SourceLost("closed".into())), []);
        assert_eq!(test.on(Event::Drained), [ClosePipeline]);
        assert_eq!(test.on(Event::PipelineClosed), [Forget]);
        assert_eq!(test.camera.shown(), CameraState::Stopped);
        assert_eq!(test.on(Event::Stop), []);

        assert_eq!(Test::playing().on(Event::Ended), [Drain], "a file at its end");

        for events in [vec![], vec![Event::Opened], vec![Event::Opened, Event::SourceLost(String::new())]] {
            let mut test = Test::start();
            for event in events {
                test.on(event);
            }
            assert_eq!(test.on(Event::Stop), [ClosePipeline]);
            assert_eq!(test.on(Event::WaitOver), []);
            assert_eq!(test.on(Event::PipelineClosed), [Forget]);
        }
    }
}
