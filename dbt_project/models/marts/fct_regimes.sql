with regimes as (

    select * from {{ ref('stg_lake__dealer_regimes') }}

),

last_snapshots as (

    select * from {{ ref('int_session_last_snapshots__selected') }}

),

closings as (

    select regimes.*
    from regimes
    inner join last_snapshots
        on regimes.underlying = last_snapshots.underlying
        and regimes.session_date = last_snapshots.session_date
        and regimes.model = last_snapshots.model
        and regimes.event_at = last_snapshots.event_at

),

compared as (

    select
        *,
        lag(regime) over held_before as previous_regime,
        lag(gamma) over held_before as previous_gamma,
        lead(spot) over held_before as next_spot,
    from closings
    window held_before as (partition by underlying, model order by session_date)

),

shares as (

    -- how often a session before had the label of the one before this: its base rate
    select
        compared.underlying,
        compared.model,
        compared.session_date,
        count(*) as earlier_sessions,
        avg((earlier.regime = compared.previous_regime)::double) as previous_regime_share,
    from compared
    inner join compared as earlier
        on compared.underlying = earlier.underlying
        and compared.model = earlier.model
        and compared.session_date > earlier.session_date
    where earlier.regime is not null
    group by compared.underlying, compared.model, compared.session_date

),

final as (

    select
        -- keys
        concat_ws(
            '|', compared.underlying, compared.session_date, compared.model
        ) as regime_id,
        concat_ws('|', compared.underlying, compared.session_date) as session_id,
        compared.underlying,
        compared.session_date,
        compared.event_at,
        compared.known_at,
        compared.model,

        -- label
        compared.spot,
        compared.regime,
        compared.rule,
        compared.margin,
        compared.deciding_input,
        compared.nearest_regime,
        compared.nearest_margin,
        compared.rules_not_judged,
        compared.is_held,

        -- what it rests on
        compared.scale,
        compared.adv_status,
        compared.thresholds_from,
        compared.static_thresholds,
        compared.history_sessions,

        -- inputs
        compared.gamma,
        compared.vanna_flow,
        compared.charm_flow,
        compared.hedge_flow,
        compared.vanna_lead,
        compared.charm_lead,
        compared.flip_distance,
        compared.move_pct,

        -- entry thresholds
        compared.threshold_gamma_high,
        compared.threshold_gamma_low,
        compared.threshold_vanna_flow,
        compared.threshold_charm_flow,
        compared.threshold_hedge_flow,
        compared.threshold_move,
        compared.threshold_quiet,

        -- persistence, against its base rate
        compared.previous_regime,
        compared.regime = compared.previous_regime as is_same_regime,
        shares.previous_regime_share,
        shares.earlier_sessions,
        (compared.gamma > 0) = (compared.previous_gamma > 0) as is_same_gamma_sign,
        100 * abs(ln(compared.next_spot / compared.spot)) as next_move_pct,
    from compared
    left join shares
        on compared.underlying = shares.underlying
        and compared.model = shares.model
        and compared.session_date = shares.session_date

)

select * from final
