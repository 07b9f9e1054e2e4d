with levels as (

    select * from {{ ref('stg_lake__combined_levels') }}

),

ranked as (

    select
        *,
        max(event_at) over (partition by underlying, session_date, model) as last_event_at,
    from levels

),

final as (

    select
        -- keys
        concat_ws('|', underlying, session_date, model, member) as combined_exposure_id,
        concat_ws('|', 'SPX', session_date) as session_id,
        underlying,
        session_date,
        event_at,
        known_at,
        model,
        member,
        member = 'total' as is_total,

        -- what is summed
        members,
        members_missing,
        member_at,
        age_seconds,
        spot,
        points_per_unit,

        -- sums
        net_delta_exposure_usd,
        net_gamma_exposure_usd_per_pct,
        net_vanna_exposure_usd_per_vol_pt,
        net_charm_exposure_usd_per_day,
        net_volga_exposure_usd_per_vol_pt2,
        gross_gamma_exposure_usd_per_pct,

        -- levels, in points of SPX
        flip_pct,
        flip_points,
        flip_status,
        call_wall_points,
        put_wall_points,
    from ranked
    where event_at = last_event_at

)

select * from final
