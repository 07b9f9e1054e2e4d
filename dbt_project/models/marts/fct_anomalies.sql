with scores as (

    select * from {{ ref('stg_lake__anomaly_scores') }}

),

-- false discoveries are controlled within one poll: how many it scored and marked
polls as (

    select
        underlying,
        event_at,
        count(p_value) as contracts_scored,
        sum(is_anomaly::integer) as anomalies_of_poll,
    from scores
    group by underlying, event_at

),

marked as (

    select
        *,
        row_number() over of_session as mark_of_session,
    from scores
    where is_anomaly
    window of_session as (
        partition by underlying, session_date, symbol
        order by event_at
    )

),

final as (

    select
        -- keys
        concat_ws('|', marked.underlying, marked.event_at, marked.symbol) as anomaly_id,
        concat_ws('|', marked.underlying, marked.session_date) as session_id,
        marked.underlying,
        marked.session_date,
        marked.event_at,
        marked.known_at,
        marked.slot,
        marked.symbol,
        marked.root,
        marked.expiry_date,
        marked.strike,
        marked."right",
        marked.is_simulated,

        -- where it stands
        marked.spot,
        marked.moneyness,
        marked.days_to_expiry,

        -- score
        marked.p_value,
        marked.q_value,
        marked.score,
        marked.severity,
        marked.drivers,
        marked.driver_p_values,
        marked.words,

        -- what it rests on
        marked.history_sessions,
        marked.volume_contracts,
        marked.usual_volume_contracts,
        marked.volume_shift,
        marked.iv_residual_shift,

        -- measures
        marked.z_volume_contracts_netted,
        marked.z_premium_usd,
        marked.z_vega_traded_usd_per_vol_point,
        marked.z_premium_over_vega,
        marked.z_volume_over_open_interest,
        marked.z_open_interest_change_contracts,
        marked.z_iv_residual_half_spreads,
        marked.z_spread_relative,
        marked.z_open_probability,
        marked.z_flow_imbalance,
        marked.z_sweep_share,
        marked.z_burst_share,
        marked.z_volume_burst,
        marked.z_iv_residual_burst,

        -- company
        polls.contracts_scored,
        polls.anomalies_of_poll::bigint as anomalies_of_poll,
        marked.mark_of_session,
        marked.mark_of_session > 1 as is_repeat,
    from marked
    inner join polls
        on marked.underlying = polls.underlying
        and marked.event_at = polls.event_at

)

select * from final
