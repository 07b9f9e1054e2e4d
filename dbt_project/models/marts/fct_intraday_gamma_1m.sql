with totals as (

    select * from {{ ref('stg_lake__live_gamma') }}

),

bars as (

    select * from {{ ref('stg_lake__live_flow') }}

),

feed_gaps as (

    select * from {{ ref('stg_lake__feed_gaps') }}

),

minutes as (

    select
        underlying,
        session_date,
        -- totals carry the end of their second, bars the start of their minute
        date_trunc('minute', event_at - interval 1 microsecond) as minute_at,
        model,
        max(known_at) as known_at,
        count(*) as seconds,

        -- underlying price
        arg_max(spot, stream_sequence) as spot,
        max(spot) as spot_high,
        min(spot) as spot_low,

        -- net gamma within the minute
        arg_min(
            net_gamma_exposure_usd_per_pct, stream_sequence
        ) as net_gamma_open_usd_per_pct,
        max(net_gamma_exposure_usd_per_pct) as net_gamma_high_usd_per_pct,
        min(net_gamma_exposure_usd_per_pct) as net_gamma_low_usd_per_pct,

        -- the minute's last second
        arg_max(totals, stream_sequence) as last,
    from totals
    group by underlying, session_date, minute_at, model

),

flow_minutes as (

    select
        underlying,
        session_date,
        event_at as minute_at,
        max(known_at) as known_at,
        sum(hedge_flow_usd) as hedge_flow_usd,
        sum(absolute_hedge_flow_usd) as absolute_hedge_flow_usd,
    from bars
    where "interval" = 'minute'
    group by underlying, session_date, event_at

),

flow as (

    select
        underlying,
        session_date,
        minute_at,
        max(known_at) over session_so_far as known_at,
        sum(hedge_flow_usd) over session_so_far as cumulative_hedge_flow_usd,
        sum(absolute_hedge_flow_usd) over session_so_far as cumulative_absolute_hedge_flow_usd,
    from flow_minutes
    window session_so_far as (
        partition by underlying, session_date
        order by minute_at
        rows unbounded preceding
    )

),

gap_minutes as (

    select distinct
        minutes.underlying,
        minutes.session_date,
        minutes.minute_at,
    from minutes
    inner join feed_gaps
        on minutes.underlying = feed_gaps.underlying
        and minutes.session_date = feed_gaps.session_date
        and feed_gaps.event_at < minutes.minute_at + interval 1 minute
        and feed_gaps.until > minutes.minute_at

),

final as (

    select
        -- keys
        concat_ws(
            '|',
            minutes.underlying,
            strftime(minutes.minute_at at time zone 'UTC', '%Y-%m-%dT%H:%MZ'),
            minutes.model
        ) as intraday_gamma_id,
        concat_ws('|', minutes.underlying, minutes.session_date) as session_id,
        minutes.underlying,
        minutes.session_date,
        minutes.minute_at,
        -- null where nothing was traded before: passed over
        greatest(minutes.known_at, flow.known_at) as known_at,
        minutes.model,

        -- underlying price
        minutes.spot,
        minutes.spot_high,
        minutes.spot_low,

        -- net gamma within the minute
        minutes.net_gamma_open_usd_per_pct,
        minutes.net_gamma_high_usd_per_pct,
        minutes.net_gamma_low_usd_per_pct,
        minutes.last.net_gamma_exposure_usd_per_pct as net_gamma_close_usd_per_pct,

        -- exposures at its last second
        minutes.last.net_delta_exposure_usd as net_delta_exposure_usd,
        minutes.last.net_vanna_exposure_usd_per_vol_pt as net_vanna_exposure_usd_per_vol_pt,
        minutes.last.net_charm_exposure_usd_per_day as net_charm_exposure_usd_per_day,
        minutes.last.net_volga_exposure_usd_per_vol_pt2 as net_volga_exposure_usd_per_vol_pt2,
        minutes.last.call_gamma_exposure_usd_per_pct as call_gamma_exposure_usd_per_pct,
        minutes.last.put_gamma_exposure_usd_per_pct as put_gamma_exposure_usd_per_pct,
        minutes.last.zero_dte_gamma_exposure_usd_per_pct as zero_dte_gamma_exposure_usd_per_pct,
        minutes.last.gross_gamma_exposure_usd_per_pct as gross_gamma_exposure_usd_per_pct,
        minutes.last.net_gamma_sd_usd_per_pct as net_gamma_sd_usd_per_pct,

        -- hedging flow since the open, to the end of the minute
        coalesce(flow.cumulative_hedge_flow_usd, 0.0) as cumulative_hedge_flow_usd,
        coalesce(
            flow.cumulative_absolute_hedge_flow_usd, 0.0
        ) as cumulative_absolute_hedge_flow_usd,

        -- what it rests on
        minutes.seconds,
        minutes.last.contracts as contracts,
        minutes.last.contracts_priced as contracts_priced,
        minutes.last.settled_open_interest_share as settled_open_interest_share,
        minutes.last.signed_share as signed_share,
        minutes.last.quoted_share as quoted_share,
        gap_minutes.minute_at is not null as has_feed_gap,
    from minutes
    asof left join flow
        on minutes.underlying = flow.underlying
        and minutes.session_date = flow.session_date
        and minutes.minute_at >= flow.minute_at
    left join gap_minutes
        on minutes.underlying = gap_minutes.underlying
        and minutes.session_date = gap_minutes.session_date
        and minutes.minute_at = gap_minutes.minute_at

)

select * from final
