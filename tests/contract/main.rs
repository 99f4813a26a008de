//! The contract: what asyncio promises its protocols, and what is mended here, as tests.
//!
//! The behaviours are numbered, and named after the test suites of CPython, uvloop and Twisted where those have them. Each
//! stands here with its tests, or with the reason why it has none; a test of this file reads the list and fails if a
//! number is left out or a test is not there. The same files have more tests than are named here: of cases beside these,
//! and of what asyncio does not have.
//!
//! What can happen both on the simulated network and on real sockets is one body that runs on both (see `world`). Tests
//! about time and faults are the simulation's, tests about readiness and descriptors are the sockets'. Seeds are printed.
//!
//! What tasks promise is Rust's, for the most part, and has no numbers: `tasks` (where, and in which order), `task_calls`,
//! `task_time`, `task_ends`, `task_wakers`, `task_loops`, `main_task`; what is asyncio's is in `streams_tasks`.
//!
//! # The core of the loop (`loop_core`, `panics`)
//!
//! 1. `call_soon_is_fifo`
//! 2. `callback_scheduled_during_iteration_runs_next_iteration`
//! 3. `call_soon_does_not_starve_io`
//! 4. `cancelled_handle_never_runs`
//! 5. `stop_finishes_current_iteration_and_keeps_rest`, `stop_finishes_current_iteration_and_sends_what_was_written`
//! 6. `stop_before_run_does_one_nonblocking_iteration`
//! 7. `io_event_after_stop_not_run_twice`
//! 8. `panic_or_error_in_callback_reaches_handler_and_loop_continues`, `a_panic_is_logged_if_there_is_no_handler`,
//!    `a_hook_that_panics_is_called_again_and_keeps_no_other_from_it`
//! 9. `broken_exception_handler_does_not_kill_loop`
//! 10. `closed_loop_rejects_scheduling`
//! 11. not applicable: `close_running_loop_is_error`, since a loop that runs is borrowed, and so cannot be dropped
//!
//! # Timers (`timers`)
//!
//! 12. `timers_fire_in_when_order_not_insertion_order`
//! 13. `past_and_negative_delays_fire_next_iteration`
//! 14. `timer_never_early`, `timer_late_by_less_than_a_turn`
//! 15. `many_cancelled_timers_are_purged`, `timers_that_are_always_cancelled_take_no_room`
//! 16. `huge_delay_is_capped_not_overflowing`
//! 17. `timer_due_runs_after_already_ready_callbacks`,
//!     `who_has_answered_in_time_is_heard_before_what_is_due_in_a_late_turn`
//!
//! # Threads, names, signals (`threads_dns_signals`)
//!
//! 18. `threadsafe_wakes_blocked_poll`
//! 19. `threadsafe_1000_calls_one_wakeup_each_runs_once_in_order`
//! 20. `executor_result_and_error_delivered_on_loop_thread`, `a_job_is_done_beside_the_loop`
//! 21. `executor_job_finishing_after_loop_close_is_harmless`
//! 22. `literal_ip_skips_executor`
//! 23. `dns_not_blocked_by_full_user_pool`
//! 24. `signal_runs_as_callback_not_in_handler_context`, `second_add_replaces`, `remove_returns_bool`,
//!     `many_signals_at_once_none_kind_lost`, `a_signal_that_nobody_handles_any_more_has_its_default_effect`;
//!     not applicable: `sigkill_rejected`, since there is no name for it
//!
//! # Reading from TCP (`tcp_read`; `fairness`, `failing`)
//!
//! 25. `connection_made_before_any_data_even_if_data_already_queued`
//! 26. `one_read_per_connection_per_iteration`,
//!     `two_flooding_connections_alternate_and_a_thirds_single_line_waits_at_most_one_turn`
//! 27. `partial_read_continues_without_new_edge`
//! 28. `data_and_fin_in_one_event_deliver_data_then_eof`
//! 29. `pause_in_connection_made_holds`
//! 30. `pause_inside_data_received_stops_immediately`, `pause_other_transport_in_same_batch_holds`
//! 31. `resume_delivers_backlog_then_eof_then_lost_in_order`
//! 32. `pause_resume_idempotent_and_noop_when_closing`
//! 33. `rst_gives_lost_with_reset_error_and_no_eof`, `a_reset_is_told_though_reading_is_paused`
//! 34. `error_or_panic_in_data_received_is_fatal_to_connection_only`,
//!     `error_or_panic_in_any_callback_is_fatal_to_connection_only`,
//!     `error_or_panic_in_tls_started_is_fatal_to_connection_only`,
//!     `panic_in_a_factory_costs_at_most_the_connection_that_it_was_about`,
//!     `panic_in_drop_costs_at_most_the_connection_that_it_was_about`
//! 35. `eof_false_closes_after_flush`, `eof_true_keeps_writing_open`
//! 36. `reset_after_half_close_is_reported`
//! 37. `set_protocol_routes_next_read`, `set_protocol_in_a_last_callback_hands_over_the_end`,
//!     `set_protocol_in_pause_writing_hands_over_the_end`
//!
//! # Writing to TCP, and its flow (`tcp_write_flow`)
//!
//! 38. not applicable: `write_sends_immediately_when_buffer_empty`, since what is written leaves at the end of the turn:
//!     `writes_of_one_turn_leave_together`
//! 39. `partial_write_buffers_rest_and_keeps_order`, `a_peer_that_begins_to_read_late_gets_all_that_waits`
//! 40. `empty_write_is_noop`, `write_eof_flushes_then_fin`; not applicable: `write_after_write_eof_is_error`, since it is
//!     dropped, and counts as late: `write_after_write_eof_is_dropped`
//! 41. `pause_strictly_above_high_resume_at_or_below_low`, `pause_once`, `high_zero`, `bad_limits_rejected`,
//!     `default_low_is_quarter`
//! 42. `writelines_obeys_watermarks_and_closed_state`
//! 43. `write_from_resume_writing`, `close_from_resume_writing_gives_one_lost`
//! 44. `write_buffer_size_is_exact_and_constant_time`
//! 45. `write_after_lost_is_silent`, `write_after_lost_is_silent_and_counted`, `late_writes_are_counted_for_each_connection`
//! 46. `write_error_reported_by_connection_lost_not_by_write`
//!
//! # Closing and aborting (`close_abort`; `failing`)
//!
//! 47. `close_flushes_then_lost_none_once`, `close_is_not_synchronous`, `close_twice_once`
//! 48. `close_in_connection_made_and_in_data_received`
//! 49. `abort_drops_buffer_and_gives_lost_none`, `abort_after_close_cuts_stuck_flush`, `abort_in_connection_made`
//! 50. `lost_with_error_if_peer_resets_during_flush`
//! 51. `any_method_after_lost_is_harmless`, `stale_ids_find_nothing`
//! 52. `error_in_connection_lost_still_closes_fd_and_detaches_server`
//! 53. `fd_count_returns_to_baseline_after_1000_mixed_endings`
//! 54. `token_reuse_never_delivers_old_event`
//!
//! # Serving and connecting (`server_connect`, `servers`, `connecting`)
//!
//! 55. `accepts_at_most_backlog_per_event_rest_next_iteration`, `new_arrivals_do_not_raise_what_is_accepted_in_a_turn`
//! 56. `emfile_pauses_listener_and_recovers`, `emfile_pauses_listener_and_recovers_on_a_real_system`,
//!     `emfile_pauses_listener_reports_once_and_recovers`
//! 57. `close_between_accept_and_made_closes_the_socket`
//! 58. `server_close_keeps_connections`, `wait_closed_waits_for_last`, `close_clients_graceful`, `abort_clients_immediate`,
//!     `wait_closed_race`, `a_listener_can_be_closed_in_every_callback_and_closed_comes_once`
//! 59. `port_zero`, `address_in_use_error_names_address`, `dual_stack_two_sockets`;
//!     not applicable: `hosts_list_deduplicated`, since one call listens on one address
//! 60. `connect_refused_single_and_multiple_errors`, `first_address_fails_second_succeeds`,
//!     `happy_eyeballs_second_family_wins_after_250ms_losers_closed`, `cancel_connect_closes_socket`,
//!     `local_addr_bind_family_filter`
//!
//! # Streams (`streams_reader`, `streams_writer`, `streams_server`)
//!
//! 61. `read_zero_n_all`, `readexactly_ok_eof_negative`, `readexactly_larger_than_limit_resumes_transport`
//! 62. `readuntil_multi_chunk_separator_split`, `limit_counts_before_separator`, `overrun_keeps_data`,
//!     `eof_partial_expected_none`
//! 63. `readline_partial_at_eof`, `readline_overrun_drops_line_or_buffer`
//! 64. `reader_pauses_above_2limit_resumes_at_limit`
//! 65. `drain_waits_for_low_water`, `many_drains_wake`, `drain_on_closing_yields_then_errors`
//! 66. `wait_closed_ok_and_error`, `eof_fed_when_closing_writer`, `handler_error_closes_connection`,
//!     `handler_cancel_closes`; not applicable: `second_reader_rejected`, since the compiler does that, as the page of
//!     the reader shows
//!
//! # TLS (`tls`, `tls_ends`, `tls_records`, `tls_hostile`, `tls_memory`, `start_tls`, `start_tls_failures`)
//!
//! 67. `handshake_then_connection_made_with_tls_info`, `data_in_the_same_flight_as_finished_is_delivered`
//! 68. `handshake_timeout_aborts_and_reports`, `peer_eof_in_handshake`, `garbage_instead_of_hello_sends_alert`,
//!     `bad_certificate_no_connection_made`
//! 69. `close_during_handshake_does_not_leak`
//! 70. `flush_before_shutdown`
//! 71. `remote_close_notify_still_lets_backlog_flush`
//! 72. `truncation_is_distinguishable`, `data_after_close_is_discarded_and_lost_none`
//! 73. `shutdown_timeout_fires_and_timer_is_cancelled_otherwise`, `shutdown_timeout_fires_if_the_peer_takes_nothing`
//! 74. `shutdown_while_reading_paused`
//! 75. `tls_watermark_counts_all_layers`, `limits_zero_on_idle_does_not_pause`
//! 76. `key_update_answered_without_app_write`
//! 77. `start_tls_client_server`, `start_tls_with_buffered_client_hello`, `start_tls_while_write_paused`,
//!     `start_tls_failure_gives_connection_lost`, `plaintext_after_starttls_rejected`,
//!     `start_tls_keeps_every_byte_in_its_place`
//! 78. not applicable: `tls_over_tls`, since a connection is plain or TLS, and TLS is carried by TCP
//! 79. `memory_per_idle_tls_connection_below_24_kib`
//!
//! # Readiness (`readiness`, `mio_backend`)
//!
//! 80. `spurious_event_is_harmless`, `an_edge_of_a_listener_that_somebody_else_has_served_is_harmless`,
//!     `eintr_in_poll_is_retried`, `poll_timeout_recomputed_after_eintr`, `events_capacity_smaller_than_ready`
//! 81. `listener_left_with_pending_connections_is_revisited_without_new_edge`
//! 82. `writable_edge_not_needed_after_short_write_without_wouldblock`
//!
//! # Faults of the originals that are not here
//!
//! What CPython does (or uvloop, where that is said) though nobody wants it, with the tests that would show it here.
//!
//! - `eof_received` after a close of our own, over TLS: `the_peers_end_is_not_told_after_close`
//! - No `connection_lost` when the handshake of `start_tls` takes too long:
//!   `start_tls_gives_the_handshake_ten_seconds_in_all`
//! - What came together with the request for TLS is lost, and the handshake hangs (cpython#142352, uvloop#707):
//!   `start_tls_with_buffered_client_hello`
//! - `start_tls` on a connection whose writing is paused fails (cpython#109051, uvloop#564):
//!   `start_tls_while_write_paused`
//! - `pause_reading` in `connection_made` is forgotten (cpython#103607, and uvloop still): `pause_in_connection_made_holds`
//! - Data after `pause_reading`, over TLS (cpython#89322): `pause_while_tls_data_is_buffered_loses_nothing`
//! - `writelines` forgets to send the rest (cpython#103462), to pause the protocol (cpython#127655, CVE-2024-12254), that
//!   the connection is lost (cpython#136234), and what it had to send when the connection was closed (cpython#115514):
//!   `writelines_obeys_watermarks_and_closed_state`
//! - `get_write_buffer_size` takes the longer the more was written (cpython#146507):
//!   `write_buffer_size_is_exact_and_constant_time`
//! - `close` in `resume_writing` loses the connection twice (cpython#156512): `close_from_resume_writing_gives_one_lost`
//! - Limits of 0 pause an idle TLS connection for ever: `limits_zero_on_idle_does_not_pause`
//! - The marks of TLS do not see what waits in TCP: `tls_watermark_counts_all_layers`
//! - Methods of a TLS transport fail after the second `close` (anyio#1250):
//!   `any_method_after_the_end_is_harmless_on_tls`
//! - One want of descriptors is reported a hundred times (cpython#151615):
//!   `emfile_pauses_listener_reports_once_and_recovers`
//! - Who was accepted when the server closed is left hanging (cpython#109564):
//!   `close_between_accept_and_made_closes_the_socket`
//! - `close` delivers data from within, over TLS: `close_tells_nobody_what_had_come_already`
//! - A cut connection looks like one that has ended in order, over TLS (uvloop, too): `truncation_is_distinguishable`
//! - Data that comes after a close makes it a failure, over TLS (aiohttp#3477): `data_after_close_is_discarded_and_lost_none`
//! - A cancelled connect leaves its socket open (cpython#131728, uvloop): `cancel_connect_closes_socket`
//! - Jobs delay the lookup of names (cpython#112169): `dns_not_blocked_by_full_user_pool`
//! - Signals are lost when very many come (cpython#74224): `many_signals_at_once_none_kind_lost`
//!
//! # What asyncio's users ask for
//!
//! asyncio lacks these, or hides them (`timeouts`, `limits`, and the files above):
//!
//! - a connect timeout: `connecting_takes_ten_seconds_at_most`, `connecting_takes_as_long_as_set`
//! - a handshake timeout that can be set: `a_handshake_takes_as_long_as_set`, `handshake_timeout_aborts_and_reports`
//! - an idle timeout: `who_says_nothing_is_told_so_and_every_word_renews_it`
//! - a receive deadline: `a_receive_deadline_is_not_renewed_by_a_drip`
//! - a close timeout: `close_timeout_ends_a_stuck_flush`
//! - a hard cap on what waits to be sent: `the_cap_of_what_waits_ends_a_connection_that_goes_over_it`,
//!   `the_cap_holds_whoever_writes_and_however_slowly_it_fills`,
//!   `the_cap_counts_what_waits_encrypted_and_what_waits_for_the_handshake`
//! - a reset noticed while paused or half-closed: `a_reset_is_told_though_reading_is_paused`,
//!   `reset_after_half_close_is_reported`
//! - a truncation that shows: `truncation_is_distinguishable`
//! - an abort by reset: `reset_tells_the_peer_that_it_was_not_all_and_abort_does_not`,
//!   `who_is_reset_by_us_learns_it_as_a_reset`
//! - a lingering close: `close_slowly_lets_the_last_words_arrive`,
//!   `close_slowly_ends_with_the_peer_its_patience_or_256_kib`
//! - Happy Eyeballs, on unless told otherwise: `happy_eyeballs_second_family_wins_after_250ms_losers_closed`,
//!   `happy_eyeballs_can_be_slower_faster_and_off`
//! - one report for want of descriptors, and no end of serving: `emfile_pauses_listener_reports_once_and_recovers`
//! - a cap on a listener's connections: `connections_over_the_cap_wait_in_the_backlog_until_one_is_gone`,
//!   `a_cap_of_one_lets_everybody_in_one_after_the_other`, `a_closed_listener_lets_nobody_in_for_who_is_gone`,
//!   `a_handshake_counts_as_a_connection`, `want_of_descriptors_and_a_cap_get_along`
//! - a cap on its handshakes: `handshakes_over_their_cap_wait_in_the_backlog`
//! - new certificates for a listener in use: `new_certificates_are_for_those_accepted_from_now_on`
//! - a graceful stop with a deadline: `shut_down_aborts_who_is_left_after_its_grace`,
//!   `shut_down_is_over_as_soon_as_all_have_left`
//! - a hook for failed handshakes: `handshakes_that_fail_are_told_to_the_listener`,
//!   `a_handshake_that_we_end_has_not_failed_and_neither_has_one_that_is_done`,
//!   `the_hook_says_whose_handshake_it_was_and_comes_before_connection_lost`
//! - lookups on threads of their own: `dns_not_blocked_by_full_user_pool`
//!
//! # What asyncio's streams promise, line by line
//!
//! The reader:
//!
//! - `StreamReader(limit)` wants more than 0: `a_limit_of_0_is_refused`, `the_limit_is_64_kib_unless_set`
//! - `feed_data` wakes who waits, and pauses the connection when more than twice the limit waits:
//!   `reader_pauses_above_2limit_resumes_at_limit`,
//!   `a_peer_that_sends_without_end_costs_twice_the_limit_and_one_read`,
//!   `a_peer_that_sends_without_end_over_tls_costs_no_more`
//! - a read that leaves no more than the limit resumes it, and so does waiting:
//!   `reader_pauses_above_2limit_resumes_at_limit`, `readexactly_larger_than_limit_resumes_transport`
//! - `read(n)` waits for one byte only, and is not bounded by the limit: `read_gives_what_is_there_whatever_the_limit`
//! - `read(0)` does not wait: `read_zero_n_all`
//! - `read(-1)` reads up to the end, and the limit does not stop it: `read_to_end_is_not_stopped_by_the_limit`
//! - `readexactly(n)`: `readexactly_ok_eof_negative`, `readexactly_larger_than_limit_resumes_transport`
//! - `readuntil(sep)` wants a separator: `an_empty_separator_is_refused`
//! - it counts what is before the separator: `limit_counts_before_separator`
//! - without one, and over the limit, it is an error and the data stays: `overrun_keeps_data`,
//!   `limit_counts_before_separator`
//! - with one too far away, it is: `overrun_keeps_data`, `limit_counts_before_separator`
//! - at the end what is left is in the error, but a message that is whole is returned: `eof_partial_expected_none`
//! - `readline`: `readline_partial_at_eof`, `readline_overrun_drops_line_or_buffer`,
//!   `what_is_read_of_a_line_that_is_too_long_is_not_thrown_away_again`
//! - iteration: not applicable: `async for`, since a loop over lines is as short
//! - two readers at once: not applicable: `RuntimeError`, since that is not compiled
//! - `set_exception`, which is worth changing:
//!   `what_came_before_a_failure_is_read_first_and_the_failure_is_told_every_time`
//! - `at_eof`: `at_eof_is_true_when_all_is_read_and_the_peer_has_ended`
//! - several separators: not applicable: `readuntil(tuple)`, since one line ends in one way here
//! - whatever the segments, and whoever gives up half-way: `any_split_gives_the_same`,
//!   `a_read_that_is_dropped_has_taken_nothing`
//!
//! The writer, the protocol, the functions:
//!
//! - a handler that fails closes its connection, and is told: `handler_error_closes_connection`,
//!   `handler_panic_aborts_connection`
//! - one that returns: `a_handler_that_returns_closes_its_connection`
//! - one that is cancelled: `handler_cancel_closes`
//! - the peer's end leaves our half open: `half_close_both_ways`, `a_handler_that_waits_for_ever_is_what_a_timeout_is_for`
//! - when the connection is lost, who reads, drains or waits for the end is told:
//!   `what_came_before_a_failure_is_read_first_and_the_failure_is_told_every_time`,
//!   `drain_on_closing_yields_then_errors`, `wait_closed_ok_and_error`
//! - `drain` does not wait without a need: `drain_on_a_fine_connection_does_not_wait`
//! - it waits for the low mark, as many as like: `drain_waits_for_low_water`, `many_drains_wake`,
//!   `drain_sees_marks_that_were_set_in_another_way`, `who_waits_for_room_while_tls_starts_gets_it`
//! - who writes and drains without end, ends: `a_task_that_writes_and_drains_without_end_ends_with_its_connection`,
//!   `who_drains_while_closing_sleeps_until_the_end`
//! - `wait_closed`: `wait_closed_ok_and_error`
//! - `write`, `writelines`, `write_eof`, `close`, `is_closing`: `what_is_written_leaves_in_order_and_together`,
//!   `half_close_both_ways`, `write_after_close_is_dropped`, `a_writer_is_closing_as_soon_as_it_was_told_to`,
//!   `close_slowly_lets_the_last_words_of_a_task_arrive`
//! - `start_tls`: `start_tls_both_ways`, `what_is_written_around_start_tls_in_one_poll_is_on_the_right_side`,
//!   `start_tls_that_fails_is_told_and_loses_the_connection`, `start_tls_that_nobody_waits_for_any_more_goes_on`
//! - `open_connection`: `a_task_connects_and_talks`, `a_refused_connection_says_by_whom`,
//!   `connecting_by_name_and_to_nobody`, `who_gives_up_connecting_leaves_nothing`,
//!   `a_handshake_that_fails_is_told_to_who_connects_and_makes_no_task`
//! - `start_server`, and the `Server`: `a_server_finds_a_port_and_says_which`,
//!   `a_server_that_cannot_have_its_address_says_which`, `who_gives_up_starting_a_server_leaves_no_listener`,
//!   `a_dropped_server_listens_no_more_and_leaves_its_connections`,
//!   `a_server_is_closed_when_its_last_connection_is_lost`,
//!   `clients_of_a_server_are_closed_or_aborted_and_their_tasks_read_the_end`, `shut_down_gives_tasks_their_time`
//! - a writer that nobody has any more is closed, and the connection with it: `who_drops_a_writer_closes`
//!
//! # Where asyncio's streams are wrong, or differ
//!
//! The rows of the table in `streams`:
//!
//! - what came before a failure: `what_came_before_a_failure_is_read_first_and_the_failure_is_told_every_time`
//! - the end of a TLS connection without close_notify: `what_came_before_a_cut_is_read_and_the_cut_is_an_error`
//! - two tasks read at once: not applicable: `RuntimeError`, since that is not compiled, as the page of the reader
//!   shows
//! - `readline`, a line too long: `readline_overrun_drops_line_or_buffer`
//! - `readline`, a line cut by a failure:
//!   `what_came_before_a_failure_is_read_first_and_the_failure_is_told_every_time`
//! - searching again for what was not there: `searching_goes_on_where_it_stopped`
//! - `drain` when the connection is lost: `drain_on_closing_yields_then_errors`
//! - `drain` while closing: `drain_on_closing_yields_then_errors`
//! - a handler returns and has not closed: `a_handler_that_returns_closes_its_connection`
//! - a handler raises: `handler_error_closes_connection`, `handler_panic_aborts_connection`,
//!   `abort_on_panic_is_visible_on_tls`
//! - a handler is cancelled: `handler_cancel_closes`
//! - the peer has ended, the handler does not: `a_handler_that_waits_for_ever_is_what_a_timeout_is_for`
//! - a task nobody keeps: `a_task_is_cancelled_by_who_drops_it_and_lives_on_detached`
//! - a task's exception nobody awaits: `a_panic_that_nobody_awaits_is_told_at_once`
//! - cancelling: `a_cancelled_task_cannot_refuse`
//! - `start_tls`: `start_tls_takes_what_the_reader_has`,
//!   `plaintext_behind_the_request_for_tls_ends_the_connection`
//! - tasks wake each other without end: `tasks_that_wake_each_other_without_end_do_not_keep_io_waiting`

mod certificates;
mod close_abort;
mod connecting;
mod diary;
mod failing;
mod fairness;
mod limits;
mod logbook;
mod loop_core;
mod loopback;
mod main_task;
mod mio_backend;
mod only_tcp;
mod panics;
mod readiness;
mod recorder;
mod server_connect;
mod servers;
mod simulated;
mod start_tls;
mod start_tls_failures;
mod streams_connect;
mod streams_foreign;
mod streams_reader;
mod streams_server;
mod streams_splits;
mod streams_stage;
mod streams_tasks;
mod streams_tls;
mod streams_unix;
mod streams_writer;
mod streams_writer_ends;
mod task_calls;
mod task_ends;
mod task_loops;
mod task_time;
mod task_wakers;
mod tasks;
mod tcp_read;
mod tcp_write_flow;
mod threads_dns_signals;
mod timeouts;
mod timers;
mod tls;
mod tls_ends;
mod tls_hostile;
mod tls_memory;
mod tls_records;
mod unix;
mod world;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn every_number_has_its_tests_or_a_reason() {
    let tests = tests();
    let number = |line: &str| line.split_once(". ").and_then(|(number, _)| number.parse::<u32>().ok());
    let list = list(|line| number(line).is_some());
    let numbers: Vec<u32> = list.iter().filter_map(|entry| number(entry)).collect();
    assert_eq!(numbers, (1..=82).collect::<Vec<_>>());
    for entry in &list {
        let (number, parts) = entry.split_once(". ").expect("that made it an entry");
        check(number, parts, &tests);
    }
}

#[test]
fn every_fault_and_every_wish_has_its_test() {
    let tests = tests();
    for entry in list(|line| line.starts_with("- ")) {
        let (what, parts) = entry.split_once(": ").unwrap_or_else(|| panic!("what would show this? {entry}"));
        check(what, parts, &tests);
    }
}

#[test]
fn every_difference_between_the_streams_has_its_test() {
    let heading = "# Where asyncio's streams are wrong, or differ";
    let table = include_str!("../../src/streams/mod.rs").split_once(heading).expect("it has a table").1;
    let rows = table.lines().skip_while(|line| !line.contains("---")).skip(1);
    let rows = rows.map_while(|line| Some(line.strip_prefix("//! | ")?.split_once(" | ")?.0.to_owned()));
    let tested = list(|line| line == heading || line.starts_with("- "));
    let tested = tested.iter().skip_while(|entry| !entry.starts_with(heading)).skip(1);
    let tested = tested.filter_map(|entry| Some(entry.strip_prefix("- ")?.split_once(": ")?.0.to_owned()));
    assert_eq!(rows.collect::<Vec<_>>(), tested.collect::<Vec<_>>());
}

/// Tests must be there, and reasons given.
fn check(what: &str, parts: &str, tests: &BTreeSet<String>) {
    for part in parts.split("; ") {
        let names = names(part);
        assert!(!names.is_empty(), "{what}: {part}: what is it about?");
        let elsewhere = part.starts_with("not applicable: ");
        assert!(!elsewhere || part.contains(", since "), "{what}: {part}: why?");
        for name in &names[usize::from(elsewhere)..] {
            assert!(tests.contains(name), "{what}: there is no test called {name}");
        }
    }
}

/// The entries of the lists in the head of this file that begin with such a line; what belongs to one is indented below it.
fn list(begins: impl Fn(&str) -> bool) -> Vec<String> {
    let mut list: Vec<String> = Vec::new();
    let mut is_open = false;
    for line in include_str!("main.rs").lines().map_while(|line| line.strip_prefix("//!")) {
        let text = line.trim();
        is_open = begins(text) || is_open && line.starts_with("   ");
        match list.last_mut() {
            _ if begins(text) => list.push(text.to_owned()),
            Some(entry) if is_open => *entry = format!("{entry} {text}"),
            _ => {}
        }
    }
    assert!(!list.is_empty(), "it stands elsewhere");
    list
}

/// What stands between backticks.
fn names(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The names of all tests of this suite.
fn tests() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract");
    let mut tests = BTreeSet::new();
    let _alone = loopback::alone();
    for entry in fs::read_dir(folder).expect("the suite has a folder") {
        let text = fs::read_to_string(entry.expect("it can be listed").path()).expect("it is text");
        let after = text.split("#[test]\n").skip(1);
        tests.extend(after.filter_map(|rest| Some(rest.split_once("fn ")?.1.split_once('(')?.0.to_owned())));
    }
    tests
}
