with source as (

    select * from {{ source('lake', 'dealer_regimes') }}

),

renamed as (

    select
        -- identity
        underlying,
        model,

        -- label
        spot,
        regime,
        rule,
        margin,
        deciding_input,
        nearest_regime,
        nearest_margin,
        rules_not_judged,
        is_held,

        -- what it rests on
        scale,
        adv_status,
        thresholds_from,
        static_thresholds,
        history_sessions,

        -- inputs
        gamma,
        vanna_flow,
        charm_flow,
        hedge_flow,
        vanna_lead,
        charm_lead,
        flip_distance,
        move_pct,

        -- entry thresholds
        threshold_gamma_high,
        threshold_gamma_low,
        threshold_vanna_flow,
        threshold_charm_flow,
        threshold_hedge_flow,
        threshold_move,
        threshold_quiet,

        -- dates and instants
        session_date,
        event_at,
        known_at,
    from source

)

select * from renamed
